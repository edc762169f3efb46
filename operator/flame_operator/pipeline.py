"""Carries out what `runs` decides: starts, follows and removes the Jobs of a server."""

from collections.abc import Sequence

import structlog

from flame_operator.cache import Cache
from flame_operator.desired import Defaults
from flame_operator.desired.ingestion import Run, inputs, job, job_key
from flame_operator.desired.unions import managed_qdrant
from flame_operator.errors import Conflict
from flame_operator.job_pods import Ended, ended, progress
from flame_operator.kube import KubeApi
from flame_operator.lanes import Lane, Loading, lane_of
from flame_operator.metrics import Metrics
from flame_operator.model import JOB, POD, QDRANT, STATEFUL_SET, Key, Manifest, Server, key_of
from flame_operator.plan import is_ours
from flame_operator.runs import Decision, Store, decide, decide_snapshot, stale_after

log = structlog.get_logger(__name__)

INGESTION, SNAPSHOTS = "ingestion", "snapshots"
"""The fields of the status that hold what is remembered."""


class Turns:
    """Who loads: at most so many at once, so that an upgrade doesn't have all do it together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: set[Key] = set()

    def are_left(self, key: Key) -> bool:
        """Whether this one may start, too."""
        return key in self._busy or len(self._busy) < self._most

    def note(self, key: Key, *, busy: bool) -> None:
        """Remember whether it has a Job that runs."""
        if busy:
            self._busy.add(key)
        else:
            self._busy.discard(key)


class Pipeline:
    """Loads docs into vector stores."""

    def __init__(self, api: KubeApi, cache: Cache, turns: Turns, metrics: Metrics) -> None:
        self._api = api
        self._cache = cache
        self._turns = turns
        self._metrics = metrics

    async def advance(
        self, server: Server, status: Manifest, defaults: Defaults, missing: tuple[str, ...], now: str
    ) -> Loading:
        """One step for one server: what has ended is taken note of, and what is due is started.

        Raises:
            Refused: The API server refuses a Job.
            Unavailable: It doesn't answer.
        """
        lane = lane_of(status, INGESTION)
        jobs, pods, over = await self._look(server, lane)
        decision = decide(
            server,
            lane,
            jobs,
            inputs=inputs(server, defaults),
            store=self._store(server, missing),
            ended=over,
            now=now,
        )
        await self._carry_out(server, defaults, decision)
        self._note(server.key, lane, decision.lane)
        snapshots = await self._snapshots(server, status, defaults, now)
        stale = stale_after(server, decision.lane, now)
        waits = [decision.look_again, snapshots.look_again, stale if stale and stale > 0 else None]
        running = decision.lane.phase == "Running" and decision.start is None
        return Loading(
            decision.lane,
            snapshots.lane,
            message=progress(pods) if running else decision.waits_for,
            index=over.index if over and over.succeeded else {},
            stale=stale is not None and stale <= 0,
            look_again=min((one for one in waits if one is not None), default=None),
        )

    async def _snapshots(self, server: Server, status: Manifest, defaults: Defaults, now: str) -> Decision:
        lane = lane_of(status, SNAPSHOTS)
        # The Job that the load has just started counts as well.
        jobs, _, over = await self._look(server, lane)
        decision = decide_snapshot(server, lane, jobs, over, now)
        await self._carry_out(server, defaults, decision)
        return decision

    def _store(self, server: Server, missing: tuple[str, ...]) -> Store:
        ready = True
        if managed_qdrant(server):
            found = self._cache.child(STATEFUL_SET.kind, server.key, QDRANT)
            ready = bool(found and (found.get("status") or {}).get("readyReplicas"))
        return Store(ready, missing, self._turns.are_left(server.key))

    async def _look(
        self, server: Server, lane: Lane
    ) -> tuple[Sequence[Manifest], Sequence[Manifest], Ended | None]:
        """The server's Jobs, the pods of the one that is remembered as running, and how that has ended."""
        jobs = [found for found in self._cache.jobs(server.key) if is_ours(server, found)]
        running = next((found for found in jobs if found["metadata"]["name"] == lane.job), None)
        if running is None or lane.phase != "Running":
            return jobs, [], None
        selector = f"batch.kubernetes.io/job-name={lane.job}"
        pods = [pod async for pod in self._api.list(POD, selector=selector, namespace=server.key.namespace)]
        return jobs, pods, ended(running, pods)

    async def _carry_out(self, server: Server, defaults: Defaults, decision: Decision) -> None:
        for old in decision.stop:
            if old["metadata"].get("deletionTimestamp"):
                continue
            # Gone only when its pods are: the next run waits for that.
            await self._api.delete(old, propagation="Foreground")
            self._cache.learn(JOB.kind, key_of(old), await self._api.get(JOB, key_of(old)))
        if decision.start is not None:
            await self._start(server, defaults, decision.start)

    async def _start(self, server: Server, defaults: Defaults, run: Run) -> None:
        key = job_key(server, run)
        try:
            self._cache.put(await self._api.apply(job(server, defaults, run), uid=None))
        except Conflict:
            # Started by a process that has ended before it could remember that.
            self._cache.learn(JOB.kind, key, await self._api.get(JOB, key))
            return
        log.info("started", **server.key.fields(), job=key.name, trigger=run.trigger, attempt=run.attempt)

    def _note(self, key: Key, before: Lane, after: Lane) -> None:
        self._turns.note(key, busy=after.phase == "Running")
        if before.phase == "Running" and after.phase != "Running":
            self._metrics.ingested(
                "ok" if after.phase == "Succeeded" else after.failure.lower() or "internal"
            )
