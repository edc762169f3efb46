"""Starts, follows and removes the Jobs of a server, as `runs` decides."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

import structlog

from flame_operator.api.kube import KubeApi
from flame_operator.desired.ingestion_job import inputs, job, job_key
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.run import Run, run_of
from flame_operator.diagnosis.diagnosis import Diagnosis
from flame_operator.errors import Conflict, Refused, Unavailable
from flame_operator.formats.shape import at, text
from flame_operator.formats.times import seconds_between
from flame_operator.informer.cache import Cache
from flame_operator.ingestion.copies import Peers, decide_copies, is_incomplete, progress_of
from flame_operator.ingestion.record import IngestionState, RunRecord, record_of
from flame_operator.ingestion.runs import Decision, Store, decide, decide_snapshot, stale_after
from flame_operator.ingestion.turns import Turns
from flame_operator.resource.kinds import JOB, POD, QDRANT, STATEFUL_SET, Key, Manifest, key_of
from flame_operator.resource.ownership import is_ours
from flame_operator.resource.server import Server
from flame_operator.resource.unions import loads_docs, managed_qdrant
from flame_operator.telemetry.metrics import Metrics
from flame_operator.workloads.causes import Cause
from flame_operator.workloads.jobs import Activity, Ended, activity, ended, finished, progress
from flame_operator.workloads.stateful_sets import is_whole, ready_peers

log = structlog.get_logger(__name__)

INGESTION, SNAPSHOTS, COPIES = "ingestion", "snapshots", "vectorStore"
"""The fields of the status that hold the records of runs."""


class _Look(NamedTuple):
    """The Jobs of a server, and what is known of the one that is recorded as running."""

    jobs: Sequence[Manifest]
    pods: Sequence[Manifest] = ()
    ended: Ended | None = None
    cause: Cause | None = None
    """Why it doesn't get to work."""


class Pipeline:
    """Runs the Jobs that load docs into servers' vector stores and take snapshots."""

    def __init__(
        self, api: KubeApi, cache: Cache, turns: Turns, diagnosis: Diagnosis, metrics: Metrics
    ) -> None:
        self._api = api
        self._cache = cache
        self._turns = turns
        self._diagnosis = diagnosis
        self._metrics = metrics

    async def advance(
        self, server: Server, status: Manifest, defaults: Defaults, store: Store, now: str
    ) -> IngestionState | None:
        """Take the next step for one server: note runs that have ended, and start those that are due.

        Args:
            server: The server.
            status: Its stored status, which holds the records of runs.
            defaults: The installation's defaults.
            store: What decides whether a run may start, but for turns.
            now: The time, RFC 3339 in UTC.

        Returns:
            The state of ingestion; None for a server whose docs come with the image.

        Raises:
            Refused: The API server refuses a Job.
            Unavailable: The API server doesn't answer.
        """
        if not (loads_docs(server) or status.get(INGESTION)):
            self._turns.release(server.key)
            return None
        try:
            state = await self._advance(server, status, defaults, store, now)
        except (Refused, Conflict, Unavailable):
            raise  # its run may well be going on; its turn ends by itself if no pass gets further than here
        except BaseException:
            self._turns.release(server.key)
            raise
        if not loads_docs(server):
            self._metrics.set_index(server.key, None, stale=False)
            return None
        loaded = state.record.succeeded
        seconds = datetime.fromisoformat(loaded).timestamp() if loaded else None
        self._metrics.set_index(server.key, seconds, stale=state.stale)
        return state

    def forget(self, key: Key) -> None:
        """Forget a server that is gone or has an invalid spec."""
        self._turns.release(key)

    def resume(self, key: Key, now: str) -> None:
        """Count the run of a server that was under way when the operator started, before the first pass.

        Args:
            key: The server.
            now: The time, RFC 3339 in UTC.
        """
        for found in self._cache.jobs(key):
            run = run_of(found)
            if run is not None and run.task in ("ingest", "rollback") and finished(found) is None:
                created = text(found["metadata"].get("creationTimestamp")) or now
                self._turns.going(key, seconds=seconds_between(created, now), activity="starting")

    async def _advance(
        self, server: Server, status: Manifest, defaults: Defaults, store: Store, now: str
    ) -> IngestionState:
        record = record_of(status, INGESTION)
        told = text(at(status, INGESTION, "progress"))
        jobs, pods, result, cause = await self._look(server, record, now, told)
        others = [record_of(status, name) for name in (SNAPSHOTS, COPIES)]
        unnoted = {one.job for one in others if one.phase == "Running"}
        decide_with = partial(
            decide, server, record, jobs, inputs=inputs(server, defaults), ended=result, now=now,
            unnoted=unnoted,
        )  # fmt: skip
        peers = self._peers(server)
        store = replace(store, ready=peers.whole)
        decision = decide_with(store=store)
        first = not record.succeeded
        if decision.start is not None and not self._turns.take(server.key, first=first):
            decision = decide_with(store=replace(store, may_start=False))
        try:
            await self._carry_out(server, defaults, decision)
        except BaseException:
            if decision.start is not None:
                self._turns.release(server.key)
            raise
        job = next((found for found in jobs if found["metadata"]["name"] == record.job), {})
        self._note(server.key, record, decision, activity(job, pods), now)
        copies, why_no_copies = await self._copies(
            server, status, defaults, decision.record, result, peers, now
        )
        may_start = peers.whole and bool(decision.record.succeeded) and not is_incomplete(copies)
        snapshots, why_no_snapshot = await self._snapshots(server, status, defaults, now, may_start=may_start)
        stale = stale_after(server, decision.record, now)
        waits = [
            decision.look_again,
            copies.look_again,
            snapshots.look_again,
            stale if stale and stale > 0 else None,
        ]
        running = decision.record.phase == "Running" and decision.start is None
        return IngestionState(
            decision.record,
            snapshots.record,
            message=progress(job, pods, cause) if running else decision.waits_for,
            cause=cause or why_no_copies or why_no_snapshot,
            waits_for_turn=decision.waits_for_turn,
            index=result.index if result and result.succeeded else {},
            stale=stale is not None and stale <= 0,
            look_again=min((one for one in waits if one is not None), default=None),
            copies=copies.record,
            store_progress=progress_of(server, copies, peers),
        )

    async def _copies(  # noqa: PLR0913, PLR0917 - all that a decision depends on
        self,
        server: Server,
        status: Manifest,
        defaults: Defaults,
        load: RunRecord,
        load_ended: Ended | None,
        peers: Peers,
        now: str,
    ) -> tuple[Decision, Cause | None]:
        record = record_of(status, COPIES)
        # Look again: a Job that has just been started for a load counts, too.
        jobs, _, result, cause = await self._look(server, record, now)
        decision = decide_copies(
            server, record, jobs, load=load, peers=peers, ended=result, load_ended=load_ended, now=now
        )
        await self._carry_out(server, defaults, decision)
        return decision, cause

    async def _snapshots(
        self, server: Server, status: Manifest, defaults: Defaults, now: str, *, may_start: bool
    ) -> tuple[Decision, Cause | None]:
        record = record_of(status, SNAPSHOTS)
        # Look again: a Job that has just been started for a load counts, too.
        jobs, _, result, cause = await self._look(server, record, now)
        decision = decide_snapshot(server, record, jobs, result, now, may_start=may_start)
        await self._carry_out(server, defaults, decision)
        return decision, cause

    def _peers(self, server: Server) -> Peers:
        """The pods of a managed Qdrant. Of another one nothing is known, so it counts as whole."""
        managed = managed_qdrant(server)
        if managed is None:
            return Peers(whole=True)
        found = self._cache.child(STATEFUL_SET.kind, server.key, QDRANT)
        return Peers(ready_peers(found), is_whole(managed.replicas, found))

    async def _look(self, server: Server, record: RunRecord, now: str, told: str = "") -> _Look:
        """Look at the server's Jobs, and at the one that is recorded as running.

        Args:
            server: The server.
            record: The record of its runs of one kind.
            now: The time, RFC 3339 in UTC.
            told: What was last told of the run's progress.
        """
        jobs = [found for found in self._cache.jobs(server.key) if is_ours(server, found)]
        running = next((found for found in jobs if found["metadata"]["name"] == record.job), None)
        if running is None or record.phase != "Running":
            return _Look(jobs)
        selector = f"batch.kubernetes.io/job-name={record.job}"
        pods = [pod async for pod in self._api.list(POD, selector=selector, namespace=server.key.namespace)]
        result = ended(running, pods, progress=told, now=now)
        seconds = seconds_between(record.started, now)
        cause = None if result else await self._diagnosis.of_run(running, pods, seconds)
        return _Look(jobs, pods, result, cause)

    async def _carry_out(self, server: Server, defaults: Defaults, decision: Decision) -> None:
        for old in decision.stop:
            if old["metadata"].get("deletionTimestamp"):
                continue
            # With "Foreground" the Job is gone only when its pods are, and the next run waits for that.
            await self._api.delete(old, propagation="Foreground")
            self._cache.learn(JOB.kind, key_of(old), await self._api.get(JOB, key_of(old)))
        if decision.start is not None:
            await self._start(server, defaults, decision.start)

    async def _start(self, server: Server, defaults: Defaults, run: Run) -> None:
        key = job_key(server, run)
        try:
            self._cache.put(await self._api.apply(job(server, defaults, run), uid=None))
        except Conflict:
            # The Job was started by a process that ended before it could write its record.
            self._cache.learn(JOB.kind, key, await self._api.get(JOB, key))
            return
        log.info("started", **server.key.fields(), job=key.name, trigger=run.trigger, attempt=run.attempt)

    def _note(self, key: Key, before: RunRecord, decision: Decision, doing: Activity, now: str) -> None:
        after = decision.record
        if after.phase == "Running":
            if decision.start is None:
                seconds = seconds_between(after.started, now)
                self._turns.going(key, seconds=seconds, activity=doing)
        elif not decision.waits_for_turn:
            self._turns.release(key)
        if before.phase == "Running" and after.phase != "Running":
            self._metrics.ingested(
                "ok" if after.phase == "Succeeded" else after.failure.lower() or "internal"
            )
