"""The life of one process: stand by, lead, finish what has begun, let the next one lead."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from flame_operator.concurrency import until_one_ends
from flame_operator.leadership.election import Election
from flame_operator.reconcile.queue import WorkQueue
from flame_operator.telemetry.health import Role

log = structlog.get_logger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]


async def first(*works: Coroutine[Any, Any, Any]) -> None:
    """Run all until one ends, then cancel the others.

    Raises:
        Exception: What any of them ended with.
    """
    await until_one_ends([asyncio.create_task(work) for work in works])


class Lifecycle:
    """Runs the queue and whatever feeds it, but only while this process leads."""

    def __init__(self, election: Election, queue: WorkQueue, *, drain_seconds: float) -> None:
        self.role: Role = "standby"
        self._election = election
        self._queue = queue
        self._drain_seconds = drain_seconds
        # Nothing of ours is on its way to the API server.
        self._idle = True

    async def run(self, stop: asyncio.Event, prime: Work, background: Sequence[Work]) -> None:
        """Live until `stop` is set.

        Args:
            stop: Asks for the end.
            prime: What must have ended before anything is decided.
            background: What runs while this process leads; none of it may write once it is cancelled.

        Raises:
            LostLease: Another one may lead. Nothing is finished then, as nothing may be written.
            Exception: What `prime` or any of `background` has raised.
        """
        try:
            await first(stop.wait(), self._election.acquire())
            if not stop.is_set():
                await first(self._election.hold(), self._lead(stop, prime, background))
        finally:
            # The next leader begins at once. If something was cut off, and may yet arrive at the API server,
            # the lease isn't given back but runs out.
            if self._idle:
                await self._election.release()

    async def _lead(self, stop: asyncio.Event, prime: Work, background: Sequence[Work]) -> None:
        self.role = "starting"
        await first(stop.wait(), prime())
        if stop.is_set():
            return
        self.role = "leader"
        self._idle = False
        working = asyncio.create_task(self._queue.run(), name="workers")
        try:
            await first(stop.wait(), _ended(working), *(work() for work in background))
        finally:
            self.role = "stopping"
            await self._drain(working)

    async def _drain(self, working: asyncio.Task[None]) -> None:
        """Let the workers finish what waits, while this process may write and has time."""
        self._queue.stop()
        may_write = self._election.valid_for() > 0
        try:
            await asyncio.wait({working}, timeout=self._drain_seconds if may_write else 0)
        finally:
            if not working.done():
                log.warning("work is left undone, the next leader does it", keys=self._queue.depth)
                working.cancel()
                await asyncio.wait({working})
        self._idle = not working.cancelled() and working.exception() is None


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for a task, but leave it alone when the wait is cancelled."""
    await asyncio.shield(task)
