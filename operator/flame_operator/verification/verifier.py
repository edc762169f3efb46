"""Decides which server is checked when, and turns the results of checks into verdicts.

There is one budget for the whole operator: checks start one by one, at a limited rate, and the namespace that
had the fewest of late comes first.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import structlog

from flame_operator.resource.kinds import Key
from flame_operator.shares import Buckets, Line, Usage
from flame_operator.verification.verdict import Finding, Target, Verdict

log = structlog.get_logger(__name__)

CONCURRENCY = 128
"""How many checks may run at once.

It is more than the budget starts before a hanging check times out, so that no check has to wait for another.
"""
SETTLE_SECONDS = 1.0
"""A new target is checked after a random delay of up to this: Services need a moment to learn of new pods."""
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 60.0
FAILURES_TO_FAIL = 2
"""How many failures in a row make a server's verdict bad; a single success makes it good."""
FRESH_IN_A_ROW = 3
"""How many checks of the fresh lane may run in a row before one of the routine lane gets its turn."""
FRESH_BURST = 10
"""How many urgent checks a namespace may have at once in the fresh lane; others go to the routine lane."""
FRESH_SHARE = 0.02
"""Which share of all checks a namespace may have in the fresh lane for long."""

Probe = Callable[[Target], Awaitable[Verdict]]


@dataclass(slots=True, eq=False)
class _Server:
    """The state of one server's verification."""

    target: Target
    verdict: Verdict | None = None
    failure: Verdict | None = None
    """The result of the last check when it was a failure, else None."""
    failures: int = 0
    overran: bool = False
    """Whether the last check was broken off because the server sent too much."""
    timer: asyncio.TimerHandle | None = None
    running: bool = False


class Verifier:
    """Checks all wanted servers periodically, and keeps a verdict on each.

    Urgent checks go first, as many as their namespace has tokens for. All others wait in the routine lane,
    which gets one check in four at least, and all when nothing is urgent: a namespace that is alone is
    checked as fast as checks may start.

    All times are those of the running event loop. While no check is due, the verifier is idle.

    Args:
        probe: Checks one target; whatever the server does is a verdict, and an exception is a bug.
        per_second: How many checks may start in a second, over all servers.
        concurrency: How many checks may run at once; a namespace leaves some of them free for others.
        on_change: Called with each server whose verdict has changed.
        observe: Called after each check with its finding and its duration in seconds.
        jitter: Returns random numbers from 0 to 1.
    """

    def __init__(  # noqa: PLR0913 - settings and hooks, by name
        self,
        probe: Probe,
        *,
        per_second: float,
        concurrency: int = CONCURRENCY,
        on_change: Callable[[Key], None],
        observe: Callable[[Finding, float], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._probe = probe
        self._pause = 1 / per_second
        self._concurrency = concurrency
        self._on_change = on_change
        self._observe = observe
        self._jitter = jitter
        self._servers: dict[Key, _Server] = {}
        # Servers whose verdict is urgent: new targets, and good servers that failed once.
        usage = Usage()
        self._fresh: Line[Key] = Line(usage)
        self._routine: Line[Key] = Line(usage)
        self._fresh_in_a_row = 0
        self._tokens = Buckets(FRESH_BURST, self._pause / FRESH_SHARE)
        self._running: Counter[str] = Counter()
        self._wake = asyncio.Event()
        # Most verdicts are equal. Sharing one object for all of them saves memory.
        self._shared = lru_cache(maxsize=256)(_itself)

    @property
    def servers(self) -> int:
        """How many servers are checked."""
        return len(self._servers)

    @property
    def waiting(self) -> int:
        """How many checks are due and waiting for their turn."""
        return len(self._fresh) + len(self._routine)

    def want(self, key: Key, target: Target, *, known_good: bool = False) -> None:
        """Have a server checked from now on; does nothing when the target hasn't changed.

        Args:
            key: The server.
            target: What to check; a target that has changed is checked soon.
            known_good: Whether the server's status already says that it answers. In that case the first
                check may come at any time within the interval, so that a restart of the operator causes no
                rush.
        """
        server = self._servers.get(key)
        if server is None:
            server = self._servers[key] = _Server(target)
            if known_good:
                self._later(key, server, self._jitter() * target.interval, self._routine)
            else:
                self._soon(key, server)
        elif server.target != target:
            server.target = target
            server.failures, server.failure = 0, None
            # A check that is running is one of the old target; the new target is checked after it has ended.
            if not server.running:
                self._forget_turn(key, server)
                self._soon(key, server)

    def drop(self, key: Key) -> None:
        """Stop checking a server, and forget its verdict."""
        server = self._servers.pop(key, None)
        if server is not None:
            self._forget_turn(key, server)

    def verdict(self, key: Key) -> Verdict | None:
        """The last verdict on a server, or None before the first.

        It may be about the previous target: in a rollout the verdict stays until the new pods are checked.
        """
        server = self._servers.get(key)
        return server.verdict if server is not None else None

    async def run(self) -> None:
        """Check servers until cancelled."""
        slots = asyncio.Semaphore(self._concurrency)

        def ended(key: Key, _: asyncio.Task[None]) -> None:
            self._running[key.namespace] -= 1
            if not self._running[key.namespace]:
                del self._running[key.namespace]
            slots.release()
            self._wake.set()

        async with asyncio.TaskGroup() as checks:
            while True:
                await slots.acquire()
                while (key := self._next()) is None:
                    self._wake.clear()
                    await self._wake.wait()
                server = self._servers[key]
                server.running = True
                self._running[key.namespace] += 1
                check = checks.create_task(self._check(key, server))
                check.add_done_callback(partial(ended, key))
                await asyncio.sleep(self._pause)

    def _next(self) -> Key | None:
        """The next server to check, or None while none may be."""
        free, now = self._concurrency - self._running.total(), asyncio.get_running_loop().time()
        lanes = (self._fresh, self._routine)
        for lane in lanes if self._fresh_in_a_row < FRESH_IN_A_ROW else reversed(lanes):
            key = lane.pop(self._running, free, now)
            if key is not None:
                self._fresh_in_a_row = self._fresh_in_a_row + 1 if lane is self._fresh else 0
                return key
        return None

    async def _check(self, key: Key, server: _Server) -> None:
        target, verdict = server.target, None
        started = asyncio.get_running_loop().time()
        try:
            verdict = await self._probe(target)
        except Exception:
            # A bug in one check must not stop the others, and tells nothing about the server.
            log.exception("unexpected error in a verification", **key.fields())
        server.running = False
        if verdict is not None:
            self._observe(verdict.reason, asyncio.get_running_loop().time() - started)
        if self._servers.get(key) is not server:
            return  # dropped meanwhile
        if server.target is not target:
            self._soon(key, server)
            return
        server.overran = verdict is not None and verdict.overrun
        if verdict is not None:
            self._judge(key, server, self._shared(verdict))
        self._plan(key, server)

    def _judge(self, key: Key, server: _Server, found: Verdict) -> None:
        """Replace the verdict on a server by a new finding, once that is certain."""
        if found.ok:
            server.failures, server.failure = 0, None
            certain = True
        else:
            server.failures += 1
            is_bad = server.verdict is not None and not server.verdict.ok
            # A bad server may fail differently each time, so only a failure that it repeats is reported.
            # Nothing that passes makes a good server send too much, so once is enough.
            certain = (
                found == server.failure if is_bad else server.overran or server.failures >= FAILURES_TO_FAIL
            )
            server.failure = found
        if certain and found != server.verdict:
            server.verdict = found
            log.info("verified", **key.fields(), reason=str(found.reason), message=found.message)
            self._on_change(key)

    def _plan(self, key: Key, server: _Server) -> None:
        """Schedule the next check of the same target."""
        interval = server.target.interval
        if not server.failures or server.overran:
            delay, lane = interval, self._routine
        else:
            retry = FIRST_RETRY_SECONDS * 2.0 ** min(server.failures - 1, 10)
            delay = min(retry, LONGEST_RETRY_SECONDS, interval)
            lane = self._fresh if server.failures < FAILURES_TO_FAIL else self._routine
        self._later(key, server, delay * (0.8 + 0.4 * self._jitter()), lane)

    def _soon(self, key: Key, server: _Server) -> None:
        self._later(key, server, self._jitter() * SETTLE_SECONDS, self._fresh)

    def _later(self, key: Key, server: _Server, delay: float, lane: Line[Key]) -> None:
        server.timer = asyncio.get_running_loop().call_later(delay, self._due, key, server, lane)

    def _due(self, key: Key, server: _Server, lane: Line[Key]) -> None:
        server.timer = None
        now = asyncio.get_running_loop().time()
        if lane is self._fresh and not self._tokens.take(key.namespace, now):
            lane = self._routine
        lane.add(key, now)
        self._wake.set()

    def _forget_turn(self, key: Key, server: _Server) -> None:
        if server.timer is not None:
            server.timer.cancel()
            server.timer = None
        self._fresh.discard(key)
        self._routine.discard(key)


def _itself(verdict: Verdict) -> Verdict:
    return verdict
