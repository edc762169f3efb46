"""Time and a Lease that tests control."""

import asyncio
import copy
import heapq
import itertools
from collections.abc import Callable

from flame_operator.errors import Conflict, Unavailable
from flame_operator.leadership.election import Leader
from flame_operator.resource.kinds import Manifest


class FakeTime:
    """A clock that goes on when the test says so; `checks` run after each step."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.checks: list[Callable[[], None]] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), future))
        await future

    async def run(self, seconds: float) -> None:
        end = self.now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, when)
            if not future.done():
                future.set_result(None)
            await self._settle()
        self.now = end
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        for check in self.checks:
            check()


class Store:
    """The API server's Lease."""

    def __init__(self) -> None:
        self.lease: Manifest | None = None
        self.writes: list[str] = []
        self._versions = itertools.count(1)

    def put(self, spec: Manifest) -> Manifest:
        self.lease = {"metadata": {"resourceVersion": str(next(self._versions))}, "spec": copy.deepcopy(spec)}
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"]["holderIdentity"])


class FakeLeases:
    """One process's way to the API server, which the test may break."""

    def __init__(self, store: Store, time: FakeTime) -> None:
        self._store = store
        self._time = time
        self.heal()

    def heal(self) -> None:
        self.error: Exception | None = None
        self.answers_lost = False
        self.delay = 0.0

    async def read(self) -> Manifest | None:
        await self._reach()
        return copy.deepcopy(self._store.lease)

    async def write(self, spec: Manifest, known: Manifest | None) -> Manifest:
        await self._reach()
        live = self._store.lease
        if (known or {}).get("metadata") != (live or {}).get("metadata"):
            raise Conflict("the object has been modified")
        self._store.writes.append(spec["holderIdentity"])
        written = self._store.put(spec)
        if self.answers_lost:
            raise Unavailable("the answer got lost")
        return written

    async def _reach(self) -> None:
        if self.delay:
            await self._time.sleep(self.delay)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


class Process:
    """One operator's part in the election, which runs as a task."""

    def __init__(self, identity: str, store: Store, time: FakeTime, stamp: str = "2026-01-01") -> None:
        self.identity = identity
        self.leases = FakeLeases(store, time)
        self.leader = Leader(self.leases, identity, clock=time, sleep=time.sleep, now=lambda: stamp)
        self.task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        await self.leader.acquire()
        await self.leader.hold()

    def kill(self) -> None:
        self.task.cancel()
        self.leader = Leader(self.leases, self.identity)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.leader.release()

    def leads(self) -> bool:
        return self.leader.valid_for() > 0
