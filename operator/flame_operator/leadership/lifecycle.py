"""Runs one process of the operator: stand by, lead, drain the queue, hand over."""

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
    """Run coroutines until one ends, then cancel the others.

    Raises:
        Exception: The exception with which any of them ended.
    """
    await until_one_ends([asyncio.create_task(work) for work in works])


class Lifecycle:
    """Runs the work queue and everything that feeds it, but only while this process leads.

    Args:
        election: Decides whether this process leads.
        queue: The work queue.
        drain_seconds: How long the workers may take to finish waiting keys at the end.
    """

    def __init__(self, election: Election, queue: WorkQueue, *, drain_seconds: float) -> None:
        self.role: Role = "standby"
        self._election = election
        self._queue = queue
        self._drain_seconds = drain_seconds
        # Whether no write of this process is on its way to the API server.
        self._idle = True

    async def run(self, stop: asyncio.Event, prime: Work, background: Sequence[Work]) -> None:
        """Stand by, lead and drain, until `stop` is set.

        Args:
            stop: Set to end the process.
            prime: Runs once after this process has become the leader, before the first pass.
            background: Run while this process leads; none of them may write once it is cancelled.

        Raises:
            LostLease: Another process may lead. The queue isn't drained then, because nothing may be written.
            Exception: The exception of `prime` or of any of `background`.
        """
        try:
            await first(stop.wait(), self._election.acquire())
            if not stop.is_set():
                await first(self._election.hold(), self._lead(stop, prime, background))
        finally:
            # A released Lease lets the next leader begin at once. If a write was cut off, it may still arrive
            # at the API server, so the Lease isn't released but expires.
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
        """Let the workers finish the waiting keys, as long as this process may write and has time."""
        self._queue.stop()
        may_write = self._election.valid_for() > 0
        try:
            await asyncio.wait({working}, timeout=self._drain_seconds if may_write else 0)
        finally:
            if not working.done():
                log.warning("work is left undone; the next leader does it", keys=self._queue.depth)
                working.cancel()
                await asyncio.wait({working})
        self._idle = not working.cancelled() and working.exception() is None


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for a task to end; the task goes on when the wait is cancelled."""
    await asyncio.shield(task)
