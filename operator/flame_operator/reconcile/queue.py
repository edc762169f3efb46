"""A work queue of keys: each key once, never two workers on one key, fair to every namespace."""

import asyncio
import random
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from flame_operator.errors import Conflict, Unavailable, UserError
from flame_operator.resource.kinds import Key
from flame_operator.telemetry.metrics import Metrics, result_of

log = structlog.get_logger(__name__)

FIRST_DELAY = 0.5
LONGEST_DELAY = 300.0

Handler = Callable[[Key], Awaitable[float | None]]
"""Works on one key; returns after how many seconds it wants to see the key again, if at all."""


class Timer(Protocol):
    """What `call_later` gives back."""

    def cancel(self) -> None:
        """Keep it from firing."""


class WorkQueue:
    """Runs `handler` for each added key with a fixed number of workers.

    A key that is added while it waits is worked on once; one that is added while it is being worked on is
    worked on once more afterwards. A key whose handler fails comes back after an exponential, jittered delay.
    """

    def __init__(  # noqa: PLR0913 - half of them are for tests
        self,
        handler: Handler,
        *,
        workers: int,
        metrics: Metrics | None = None,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handler = handler
        self._workers = workers
        self._metrics = metrics or Metrics()
        self._metrics.show_queue(lambda: self.depth, lambda: self.oldest_age)
        self._call_later = call_later
        self._jitter = jitter
        self._clock = clock
        self._waiting: OrderedDict[str, deque[Key]] = OrderedDict()
        # Since when each waits. A dict keeps their order, so the first has waited longest.
        self._queued: dict[Key, float] = {}
        self._working: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: Counter[Key] = Counter()
        self._timers: dict[Key, Timer] = {}
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def depth(self) -> int:
        """How many keys wait or are being worked on."""
        return len(self._queued) + len(self._working)

    @property
    def oldest_age(self) -> float:
        """For how many seconds the key that waits longest has waited for a worker; 0 when none does."""
        return next((self._clock() - since for since in self._queued.values()), 0.0)

    def add(self, key: Key) -> None:
        """Have the key worked on as soon as a worker is free."""
        if self._stopping:
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued[key] = self._clock()
            self._waiting.setdefault(key.namespace, deque()).append(key)
            self._wake.set()

    def add_later(self, key: Key, delay: float) -> None:
        """Have the key worked on in `delay` seconds, unless something adds it before."""
        if self._stopping or key in self._timers or key in self._queued:
            return
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._timers[key] = call_later(delay, lambda: self.add(key))

    def stop(self) -> None:
        """Take nothing more; `run` returns once what waits has been worked on."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
            await self._work_on(self._next())
            # Work that finds nothing to do never waits. After a start there is a lot of it, and the lease has
            # to be renewed meanwhile.
            await asyncio.sleep(0)

    def _next(self) -> Key:
        """The oldest key of the namespace that was served longest ago."""
        namespace, keys = self._waiting.popitem(last=False)
        key = keys.popleft()
        if keys:
            self._waiting[namespace] = keys
        del self._queued[key]
        self._working.add(key)
        return key

    async def _work_on(self, key: Key) -> None:
        again: float | None = None
        trouble: Exception | None = None
        begun = self._clock()
        # Every line that is logged meanwhile, by whatever module, names the resource.
        with structlog.contextvars.bound_contextvars(namespace=key.namespace, name=key.name):
            try:
                again = await self._handler(key)
            except (UserError, Conflict, Unavailable) as error:
                trouble, again = error, self._delay(key)
                log.warning("reconcile failed", error=str(error), retry_seconds=round(again, 1))
            except Exception as error:
                # A bug in one reconcile must not take the others down.
                trouble, again = error, self._delay(key)
                log.exception("unexpected error in a reconcile", retry_seconds=round(again, 1))
            else:
                del self._failures[key]
            finally:
                self._working.remove(key)
        self._metrics.reconciled(result_of(trouble), self._clock() - begun)
        if key in self._dirty:
            self._dirty.remove(key)
            self._requeue(key)
        elif again is not None:
            self.add_later(key, again)

    def _requeue(self, key: Key) -> None:
        if self._stopping:
            return
        if self._failures[key]:
            self.add_later(key, self._delay(key, grow=False))
        else:
            self.add(key)

    def _delay(self, key: Key, *, grow: bool = True) -> float:
        """Seconds until the next try: doubling, and between half of that and all of it."""
        if grow:
            self._failures[key] += 1
            self._metrics.retried()
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures[key] - 1, 20))
        return longest * (0.5 + self._jitter() / 2)
