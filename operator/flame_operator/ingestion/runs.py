"""Decides which run is due, a load, a rollback or a snapshot, from what has run before. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from flame_operator.desired.run import Run, Task, run_of
from flame_operator.formats.cron import next_tick, tick_after, tick_between
from flame_operator.formats.times import seconds_between
from flame_operator.ingestion import changed_sources
from flame_operator.ingestion.old_jobs import beyond_history, is_active, lingering, overstaying
from flame_operator.ingestion.record import RunRecord, is_rollback
from flame_operator.resource.annotations import REINDEX, ROLLBACK
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import loads_docs, managed_qdrant
from flame_operator.workloads.jobs import LINGER_SECONDS, Ended

LOOK_SECONDS = 10.0
"""How often to read a running Job's progress from its pod: the Job itself changes only when it ends."""
FIRST_RETRY, LONGEST_RETRY = 60.0, 3600.0
"""Seconds between a failed run and its retry: they begin with the first, and double up to the second."""
NO_TURN = "Other resources are loading docs; this one gets its turn when one of them is done."
BUSY = "Another Job of this resource is still running."
MOST_CRASHES = 3
"""How many attempts in a row may fail with an internal error before there are no more retries."""


@dataclass(frozen=True)
class Store:
    """The facts about the cluster that decide whether a run may start."""

    ready: bool = True
    """Whether the vector store has all its pods and they accept requests, as far as the operator knows."""
    why: str = ""
    """Why it hasn't, for the user, as far as the operator knows."""
    missing: tuple[str, ...] = ()
    """Messages for the user about missing objects that the run's pods would wait for."""
    may_start: bool = True
    """Whether it is this server's turn to load docs."""
    sources: str = ""
    """The digest of the ConfigMaps with docs; empty when there are none, or not all are there."""


@dataclass(frozen=True)
class Decision:
    """The next step of a server's runs: Jobs to start and delete, and the new record."""

    record: RunRecord
    start: Run | None = None
    stop: tuple[Manifest, ...] = ()
    """Jobs to delete: those that a newer spec has made useless, and those that exceed the history limit."""
    look_again: float | None = None
    """Seconds until a step is due that no event announces."""
    waits_for: str = ""
    """Why a run that is due doesn't start."""
    waits_for_turn: bool = False
    """Whether it waits only for the runs of other servers."""


def decide(  # noqa: PLR0913 - all that a decision depends on
    server: Server,
    record: RunRecord,
    jobs: Sequence[Manifest],
    *,
    inputs: str,
    store: Store,
    ended: Ended | None,
    now: str,
    unnoted: Collection[str] = (),
) -> Decision:
    """Decide the next step of loading docs into a server's vector store.

    Args:
        server: The server.
        record: The record of its loads.
        jobs: All Jobs of the server.
        inputs: The digest of what a load would be made from now.
        store: Decides whether a run may start.
        ended: How the Job that is recorded as running has ended; None while it runs.
        now: The time, RFC 3339 in UTC.
        unnoted: The names of Jobs of other kinds whose end isn't recorded yet.
    """
    record = caught_up(record, jobs, ended, now, ("ingest", "rollback"))
    beyond = (one for one in beyond_history(server, record, jobs) if one["metadata"]["name"] not in unnoted)
    old = (*beyond, *overstaying(record, jobs, now))
    if not loads_docs(server):
        return Decision(RunRecord(), stop=tuple(jobs))
    if record.phase == "Running":
        useless = [
            job
            for job in jobs
            if job["metadata"]["name"] == record.job and record.inputs != inputs and not is_rollback(record)
        ]
        return Decision(record, stop=(*old, *useless), look_again=LOOK_SECONDS)
    record = changed_sources.noted(record, store.sources)
    due, seconds = _due(server, record, inputs, store.sources, now)
    if due is None:
        pause = changed_sources.pause(record, store.sources, now) if _may_load(server, record) else None
        waits = [seconds, pause, LINGER_SECONDS if lingering(record, jobs) else None]
        again = min((one for one in waits if one is not None), default=None)
        told = changed_sources.PAUSES if pause else ""
        return Decision(record, stop=old, look_again=again, waits_for=told)
    if why := _why_not_now(jobs, store):
        waits_for_turn = why == NO_TURN
        return Decision(record, stop=old, look_again=30.0, waits_for=why, waits_for_turn=waits_for_turn)
    started = replace(
        _acted_on(server, record, due, store.sources, now),
        job=due.name(server),
        phase="Running",
        message=record.message if due.attempt > 1 else "",
        # The failure stays in the record until an attempt succeeds, so that conditions don't flap in between.
        failure=record.failure if due.attempt > 1 else "",
        trigger=due.trigger,
        inputs=due.inputs,
        attempt=due.attempt,
        started=now,
        ended="",
    )
    return Decision(started, start=due, stop=old, look_again=LOOK_SECONDS)


def decide_snapshot(  # noqa: PLR0913 - all that a decision depends on
    server: Server,
    record: RunRecord,
    jobs: Sequence[Manifest],
    ended: Ended | None,
    now: str,
    *,
    may_start: bool = True,
) -> Decision:
    """Decide the next step of taking snapshots of a server's managed Qdrant.

    Args:
        server: The server.
        record: The record of its snapshots.
        jobs: All Jobs of the server.
        ended: How the Job that is recorded as running has ended; None while it runs.
        now: The time, RFC 3339 in UTC.
        may_start: Whether there is something to take a snapshot of, and all of Qdrant's pods are ready.
    """
    managed = managed_qdrant(server)
    if managed is None or managed.snapshots is None:
        return Decision(RunRecord())
    record = caught_up(record, jobs, ended, now, ("snapshot",))
    if record.phase == "Running":
        return Decision(record, look_again=LOOK_SECONDS)
    if stop := overstaying(record, jobs, now):
        return Decision(record, stop=stop, look_again=LOOK_SECONDS)
    schedule = managed.snapshots.schedule
    tick = tick_between(schedule, None, record.scheduled or server.created, now)
    if tick is None or not may_start or any(is_active(job) for job in jobs):
        return Decision(record, look_again=30.0 if tick else next_tick(schedule, None, now))
    run = Run("snapshot", f"schedule/{tick}", "")
    started = replace(
        record, job=run.name(server), phase="Running", message="", failure="", trigger=run.trigger, attempt=1,
        started=now, ended="", scheduled=tick,
    )  # fmt: skip
    return Decision(started, start=run, look_again=LOOK_SECONDS)


def caught_up(
    record: RunRecord, jobs: Sequence[Manifest], ended: Ended | None, now: str, tasks: tuple[Task, ...]
) -> RunRecord:
    """The record, brought up to date with what has happened since it was written."""
    if record.phase != "Running":
        # A running Job that isn't recorded: the operator crashed between starting it and writing the record.
        for job in jobs:
            run = run_of(job)
            if run and run.task in tasks and is_active(job) and job["metadata"]["name"] != record.job:
                return replace(
                    record, job=job["metadata"]["name"], phase="Running", message="", failure="",
                    trigger=run.trigger, inputs=run.inputs, attempt=run.attempt,
                    started=job["metadata"].get("creationTimestamp") or now, ended="",
                )  # fmt: skip
        return record
    if record.job not in {job["metadata"]["name"] for job in jobs}:
        return replace(
            record, phase="Failed", failure="World", message="Its Job was deleted before it ended.", ended=now
        )
    if ended is None:
        return record
    if ended.succeeded:
        done = replace(record, phase="Succeeded", failure="", message=ended.message, ended=now, attempt=0)
        # A rollback brings back an older index, so it doesn't count as a load.
        return done if is_rollback(record) else replace(done, succeeded=now, loaded=record.inputs)
    return replace(record, phase="Failed", failure=ended.failure, message=ended.message, ended=now)


def _due(
    server: Server, record: RunRecord, inputs: str, sources: str, now: str
) -> tuple[Run | None, float | None]:
    """The run that is due, or else the seconds until one may be, if that is known."""
    rollback = _annotation(server, ROLLBACK)
    if rollback and rollback != record.rollback and record.succeeded:
        return Run("rollback", f"rollback/{rollback}", inputs), None
    if _may_load(server, record) and (trigger := _trigger(server, record, inputs, sources, now)):
        return Run("ingest", trigger, inputs), None
    return (None, None) if _is_paused(server) else _later(server, record, inputs, now)


def _is_paused(server: Server) -> bool:
    given = server.spec.ingestion
    return server.spec.suspend or (given is not None and given.suspend)


def _may_load(server: Server, record: RunRecord) -> bool:
    """Whether anything may be loaded: neither suspended nor rolled back.

    If nothing has been loaded yet, there is no index to go back to, nor one to protect.
    """
    return not _is_paused(server) and not (_annotation(server, ROLLBACK) and record.succeeded)


def _trigger(server: Server, record: RunRecord, inputs: str, sources: str, now: str) -> str:
    """The reason for a load now; empty when there is none."""
    if inputs not in {record.loaded, record.inputs}:
        return "spec"
    if record.rollback:
        return f"resume/{record.rollback}"
    reindex = _annotation(server, REINDEX)
    if reindex and reindex != record.reindex:
        return f"reindex/{reindex}"
    tick = _tick(server, record, now)
    return f"schedule/{tick}" if tick else changed_sources.trigger(record, sources, now)


def _tick(server: Server, record: RunRecord, now: str) -> str | None:
    """The latest time at which the schedule was due and that hasn't been acted on, or None."""
    given = server.spec.ingestion
    if given is None or not given.schedule:
        return None
    return tick_between(
        given.schedule, given.time_zone, record.scheduled or record.started or server.created, now
    )


def _annotation(server: Server, annotation: str) -> str:
    """The value of an annotation of the user, shortened to what the status has room for."""
    return server.annotations.get(annotation, "")[:256]


def _later(server: Server, record: RunRecord, inputs: str, now: str) -> tuple[Run | None, float | None]:
    """The retry of a failed run when it is due, or else the seconds until it or the schedule is."""
    given = server.spec.ingestion
    seconds = None
    if given is not None and given.schedule and not record.rollback:
        seconds = next_tick(given.schedule, given.time_zone, now)
    if record.phase == "Failed" and (wait := retry_after(record)) is not None:
        left = wait - seconds_between(record.ended, now)
        if left <= 0:
            task: Task = "rollback" if is_rollback(record) else "ingest"
            return Run(task, record.trigger, inputs, record.attempt + 1), None
        seconds = left if seconds is None else min(left, seconds)
    return None, seconds


def retry_after(record: RunRecord) -> float | None:
    """Seconds from a failure to its retry; None when a retry is useless before something changes."""
    if record.failure == "World" or (record.failure == "Internal" and record.attempt < MOST_CRASHES):
        return float(min(FIRST_RETRY * 2 ** min(record.attempt - 1, 10), LONGEST_RETRY))
    return None


def _why_not_now(jobs: Sequence[Manifest], store: Store) -> str:
    """Why no run may start now, for the user; "" when one may."""
    if store.missing:
        return "; ".join(store.missing)
    if not store.ready:
        return f"Qdrant isn't ready yet. {store.why}".strip()
    if any(is_active(job) for job in jobs):
        return BUSY
    if not store.may_start:
        return NO_TURN
    return ""


def _acted_on(server: Server, record: RunRecord, run: Run, sources: str, now: str) -> RunRecord:
    """The record with the requests that a run answers: all that were made before its start."""
    if run.task == "rollback":
        return replace(record, rollback=_annotation(server, ROLLBACK))
    scheduled = _tick(server, record, now) or record.scheduled
    sources = sources or record.sources
    return replace(
        record, rollback="", reindex=_annotation(server, REINDEX), scheduled=scheduled, sources=sources
    )


def stale_after(server: Server, record: RunRecord, now: str) -> float | None:
    """Seconds until the index counts as stale: until it is older than twice its schedule's interval.

    Zero or negative when it is stale; None when it never will be.
    """
    given = server.spec.ingestion
    if given is None or not given.schedule or given.suspend or not record.succeeded:
        return None
    first = tick_after(given.schedule, given.time_zone, record.succeeded)
    second = first and tick_after(given.schedule, given.time_zone, first)
    return seconds_between(now, second) if second else None
