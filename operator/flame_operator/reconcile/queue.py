"""Implements the work queue: each key once, never two workers on one key, fair to every namespace."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from flame_operator.errors import Conflict, Unavailable, UserError
from flame_operator.reconcile.pauses import Pauses
from flame_operator.resource.kinds import Key
from flame_operator.shares import Line, Usage, may_have_one_more
from flame_operator.telemetry.metrics import Metrics, result_of

log = structlog.get_logger(__name__)

FIRST_DELAY = 0.5
LONGEST_DELAY = 300.0
PASS_SECONDS = 120.0
"""How long one key may be handled; a request that the API server doesn't answer takes 30 s."""
MOST_BUGS = 5
"""After how many bugs in a row a key is reported, and handled no more often than every `BUG_DELAY`."""
BUG_DELAY = 120.0

Handler = Callable[[Key], Awaitable[float | None]]
"""Handles one key; returns after how many seconds the key has to be handled again, or None."""


class Timer(Protocol):
    """A timer, as `call_later` returns it."""

    def cancel(self) -> None:
        """Keep the timer from firing."""


class WorkQueue:
    """Runs a handler for each added key, with a fixed number of workers.

    A key that is added while it waits is handled once. A key that is added while it is being handled is
    handled once more afterwards. A key whose handler fails comes back after an exponential delay with jitter.
    A namespace leaves workers free for others (`shares.may_have_one_more`), and nothing holds a worker for
    longer than a pass may take. A key that has been handled very often of late has to pause first (`Pauses`).

    Args:
        handler: Handles one key.
        workers: How many keys are handled at once.
        on_bugs: Called with a key whose handler has raised unexpected errors again and again.
        deadline: How many seconds one key may be handled.
        metrics: Counts reconciles, and shows the queue.
        call_later: Starts a timer; the event loop's `call_later` by default.
        jitter: Returns random numbers from 0 to 1.
        clock: A monotonic clock, in seconds.
    """

    def __init__(  # noqa: PLR0913 - half of them are for tests
        self,
        handler: Handler,
        *,
        workers: int,
        on_bugs: Callable[[Key], Awaitable[None]] | None = None,
        deadline: float = PASS_SECONDS,
        metrics: Metrics | None = None,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handler = handler
        self._workers = workers
        self._on_bugs = on_bugs
        self._deadline = deadline
        self._metrics = metrics or Metrics()
        self._metrics.show_queue(lambda: self.depth, lambda: self.oldest_age)
        self._call_later = call_later
        self._jitter = jitter
        self._clock = clock
        self._usage = Usage()
        self._waiting: Line[Key] = Line(self._usage)
        # Those of them that go before all others.
        self._ahead: dict[Key, None] = {}
        # Since when each key has waited. A dict keeps their order, so the first key has waited longest.
        self._queued: dict[Key, float] = {}
        self._working: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: Counter[Key] = Counter()
        self._bugs: Counter[Key] = Counter()
        self._timers: dict[Key, Timer] = {}
        self._pauses = Pauses(clock)
        # Keys whose timer ends such a pause.
        self._pausing: set[Key] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def depth(self) -> int:
        """How many keys wait or are being handled."""
        return len(self._queued) + len(self._working)

    @property
    def oldest_age(self) -> float:
        """How many seconds the key that has waited longest has waited for a worker; 0 when no key waits."""
        return next((self._clock() - since for since in self._queued.values()), 0.0)

    def add(self, key: Key) -> None:
        """Have a key handled as soon as a worker is free.

        One whose handler has a bug waits for its delay, one that was handled too often for its pause.
        """
        if self._stopping or key in self._pausing or (key in self._timers and self._bugs[key] >= MOST_BUGS):
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            self._dirty.add(key)
        elif key not in self._queued and (seconds := self._pauses.seconds(key)) > 0:
            self._pausing.add(key)
            self.add_later(key, seconds)
        else:
            self._put(key)

    def add_ahead(self, key: Key) -> None:
        """Have a key handled before all others that wait: what others wait for too is held for it meanwhile.

        The caller sees to it that there are few at once, and no namespace has more than its share of them.
        """
        self._ahead[key] = None
        self.add(key)

    def _put(self, key: Key) -> None:
        if key not in self._queued:
            self._queued[key] = self._clock()
            self._waiting.add(key, self._queued[key])
            self._wake.set()

    def add_later(self, key: Key, delay: float) -> None:
        """Have a key handled in `delay` seconds, unless something adds it sooner."""
        if self._stopping or key in self._timers or key in self._queued:
            return
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._timers[key] = call_later(delay, lambda: self._due(key))

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        if key in self._pausing:
            self._pausing.remove(key)
            self._put(key)
        else:
            self.add(key)

    def stop(self) -> None:
        """Accept no more keys; `run` returns once all waiting keys have been handled."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._pausing.clear()
        self._wake.set()

    async def run(self) -> None:
        """Handle keys until `stop` is called and the queue is empty."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            while (key := self._next()) is None:
                if self._stopping and not self._waiting:
                    return
                self._wake.clear()
                await self._wake.wait()
            await self._work_on(key)
            self._wake.set()
            # A pass that finds nothing to do never waits for anything. After a start there are many of them,
            # and the Lease has to be renewed meanwhile.
            await asyncio.sleep(0)

    def _next(self) -> Key | None:
        """Take the next key that may be handled, if any."""
        busy = Counter(key.namespace for key in self._working)
        free = self._workers - len(self._working)
        ahead = (
            one for one in self._ahead if one in self._queued and may_have_one_more(busy[one.namespace], free)
        )
        if (key := next(ahead, None)) is not None:
            self._waiting.discard(key)
            self._usage.note(key.namespace, self._clock())
        elif (key := self._waiting.pop(busy, free, self._clock())) is None:
            return None
        self._ahead.pop(key, None)
        del self._queued[key]
        self._working.add(key)
        self._pauses.begun(key)
        return key

    async def _work_on(self, key: Key) -> None:
        delay: float | None = None
        failure: Exception | None = None
        begun = self._clock()
        # Every line that any module logs meanwhile names the resource.
        with structlog.contextvars.bound_contextvars(namespace=key.namespace, name=key.name):
            try:
                delay = await self._handle(key)
            except (UserError, Conflict, Unavailable) as error:
                failure, delay = error, self._delay(key)
                log.warning("reconcile failed", error=str(error), retry_seconds=round(delay, 1))
            except Exception as error:
                # A bug in one reconcile must not stop the others.
                self._bugs[key] += 1
                failure, delay = error, self._delay(key)
                log.exception("unexpected error in a reconcile", retry_seconds=round(delay, 1))
                await self._report_bugs(key)
            else:
                del self._failures[key], self._bugs[key]
            finally:
                self._working.remove(key)
        self._metrics.reconciled(result_of(failure), self._clock() - begun)
        if key in self._dirty:
            self._dirty.remove(key)
            self._requeue(key)
        elif delay is not None:
            self.add_later(key, delay)

    async def _handle(self, key: Key) -> float | None:
        """Handle a key within the deadline.

        Raises:
            Unavailable: It has taken too long; something that it waits for doesn't come.
        """
        try:
            async with asyncio.timeout(self._deadline) as limit:
                return await self._handler(key)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise Unavailable(f"the pass was given up after {self._deadline:g} s") from error

    async def _report_bugs(self, key: Key) -> None:
        if self._on_bugs is None or self._bugs[key] < MOST_BUGS:
            return
        try:
            async with asyncio.timeout(self._deadline):
                await self._on_bugs(key)
        except Exception as error:  # noqa: BLE001 - the bug itself is in the log already
            log.warning("a bug can't be reported in the status", error=str(error))

    def _requeue(self, key: Key) -> None:
        if self._stopping:
            return
        if self._failures[key]:
            self.add_later(key, self._delay(key, grow=False))
        else:
            self.add(key)

    def _delay(self, key: Key, *, grow: bool = True) -> float:
        """Seconds until the next attempt: they double with each failure, minus a jitter of up to one half."""
        if grow:
            self._failures[key] += 1
            self._metrics.retried()
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures[key] - 1, 20))
        if self._bugs[key] >= MOST_BUGS:
            longest = max(longest, BUG_DELAY)
        return longest * (0.5 + self._jitter() / 2)
