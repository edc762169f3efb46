"""Decides when which server is checked, and what the checks amount to.

One budget for the whole operator: checks start one by one, so many a second, and namespaces take turns.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

import structlog

from flame_operator.resource.kinds import Key
from flame_operator.verification.verdict import Finding, Target, Verdict

log = structlog.get_logger(__name__)

CONCURRENCY = 128
"""Checks at once: more than the budget starts until a hanging one is given up, so that none waits for it."""
SETTLE_SECONDS = 1.0
"""A new target is checked within this: Services need a moment to learn of new pods."""
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 60.0
FAILURES_TO_FAIL = 2
"""So many failures in a row make a server bad; one success makes it good."""
FRESH_IN_A_ROW = 3
"""After so many checks of the first lane the second has its turn, however many wait in the first."""

Probe = Callable[[Target], Awaitable[Verdict]]


@dataclass(slots=True, eq=False)
class _Server:
    """What is known of one server."""

    target: Target
    verdict: Verdict | None = None
    failure: Verdict | None = None
    """What the last check found, when that was a failure."""
    failures: int = 0
    timer: asyncio.TimerHandle | None = None
    running: bool = False


class _Lane:
    """Keys that wait to be checked; the namespace that was served longest ago comes first."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, key: Key) -> None:
        keys = self._waiting.setdefault(key.namespace, OrderedDict())
        self._length += key not in keys
        keys[key] = None

    def discard(self, key: Key) -> None:
        keys = self._waiting.get(key.namespace)
        if keys is None or key not in keys:
            return
        del keys[key]
        self._length -= 1
        if not keys:
            del self._waiting[key.namespace]

    def pop(self) -> Key:
        namespace, keys = self._waiting.popitem(last=False)
        key, _ = keys.popitem(last=False)
        self._length -= 1
        if keys:
            self._waiting[namespace] = keys
        return key


class Verifier:
    """Checks all servers that are wanted, again and again.

    All times are of the running event loop. While nothing is due it does nothing.

    Args:
        probe: Checks one target; whatever the server does is a verdict, an exception is a bug.
        per_second: How many checks may start in a second, over all servers.
        concurrency: How many checks may run at once.
        on_change: Called with each server whose verdict says something else than before.
        observe: Called after each check with what it found and how many seconds it took.
        jitter: Random numbers from 0 to 1.
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
        # Whose verdict is waited for: new targets, and good servers that failed once.
        self._fresh = _Lane()
        self._routine = _Lane()
        self._fresh_in_a_row = 0
        self._wake = asyncio.Event()
        # Most servers say the same: kept once, their verdicts take no memory.
        self._shared = lru_cache(maxsize=256)(_itself)

    @property
    def servers(self) -> int:
        """How many servers are checked."""
        return len(self._servers)

    @property
    def waiting(self) -> int:
        """How many checks are due and wait for their turn."""
        return len(self._fresh) + len(self._routine)

    def want(self, key: Key, target: Target, *, known_good: bool = False) -> None:
        """Have a server checked from now on; nothing changes when the target is the same as before.

        Args:
            key: The server.
            target: What to check; another one than before is checked soon.
            known_good: Whether the server's status says already that it answers. Then the first check may
                come at any time within the interval, so that a restart of the operator brings no rush.
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
            # A check that runs now is of the old target: the new one's turn comes when it has ended.
            if not server.running:
                self._forget_turn(key, server)
                self._soon(key, server)

    def drop(self, key: Key) -> None:
        """Check a server no more, and forget its verdict."""
        server = self._servers.pop(key, None)
        if server is not None:
            self._forget_turn(key, server)

    def verdict(self, key: Key) -> Verdict | None:
        """The last verdict on a server, or None before the first.

        It may be of the target before: a rollout makes nobody unknown until the new pods are checked.
        """
        server = self._servers.get(key)
        return server.verdict if server is not None else None

    async def run(self) -> None:
        """Check until cancelled."""
        slots = asyncio.Semaphore(self._concurrency)
        async with asyncio.TaskGroup() as checks:
            while True:
                await slots.acquire()
                while not self.waiting:
                    self._wake.clear()
                    await self._wake.wait()
                key = self._next()
                server = self._servers[key]
                server.running = True
                check = checks.create_task(self._check(key, server))
                check.add_done_callback(lambda _: slots.release())
                await asyncio.sleep(self._pause)

    def _next(self) -> Key:
        fresh = bool(self._fresh) and (not self._routine or self._fresh_in_a_row < FRESH_IN_A_ROW)
        self._fresh_in_a_row = self._fresh_in_a_row + 1 if fresh else 0
        return (self._fresh if fresh else self._routine).pop()

    async def _check(self, key: Key, server: _Server) -> None:
        target, verdict = server.target, None
        started = asyncio.get_running_loop().time()
        try:
            verdict = await self._probe(target)
        except Exception:
            # A bug in one check must not take the others down, and says nothing about the server.
            log.exception("unexpected error in a verification", **key.fields())
        server.running = False
        if verdict is not None:
            self._observe(verdict.reason, asyncio.get_running_loop().time() - started)
        if self._servers.get(key) is not server:
            return  # dropped meanwhile
        if server.target is not target:
            self._soon(key, server)
            return
        if verdict is not None:
            self._judge(key, server, self._shared(verdict))
        self._plan(key, server)

    def _judge(self, key: Key, server: _Server, found: Verdict) -> None:
        """Take a finding over, once it is certain."""
        if found.ok:
            server.failures, server.failure = 0, None
            certain = True
        else:
            server.failures += 1
            is_bad = server.verdict is not None and not server.verdict.ok
            # What a bad server says may differ each time: only what it says twice is told.
            certain = found == server.failure if is_bad else server.failures >= FAILURES_TO_FAIL
            server.failure = found
        if certain and found != server.verdict:
            server.verdict = found
            log.info("verified", **key.fields(), reason=str(found.reason), message=found.message)
            self._on_change(key)

    def _plan(self, key: Key, server: _Server) -> None:
        """Decide on the next check of the same target."""
        interval = server.target.interval
        if not server.failures:
            delay, lane = interval, self._routine
        else:
            retry = FIRST_RETRY_SECONDS * 2.0 ** min(server.failures - 1, 10)
            delay = min(retry, LONGEST_RETRY_SECONDS, interval)
            lane = self._fresh if server.failures < FAILURES_TO_FAIL else self._routine
        self._later(key, server, delay * (0.8 + 0.4 * self._jitter()), lane)

    def _soon(self, key: Key, server: _Server) -> None:
        self._later(key, server, self._jitter() * SETTLE_SECONDS, self._fresh)

    def _later(self, key: Key, server: _Server, delay: float, lane: _Lane) -> None:
        server.timer = asyncio.get_running_loop().call_later(delay, self._due, key, server, lane)

    def _due(self, key: Key, server: _Server, lane: _Lane) -> None:
        server.timer = None
        lane.add(key)
        self._wake.set()

    def _forget_turn(self, key: Key, server: _Server) -> None:
        if server.timer is not None:
            server.timer.cancel()
            server.timer = None
        self._fresh.discard(key)
        self._routine.discard(key)


def _itself(verdict: Verdict) -> Verdict:
    return verdict
