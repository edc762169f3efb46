"""Decides when a managed Qdrant needs a run that makes copies on peers that lack them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flame_operator.desired.run import Run
from flame_operator.formats.times import seconds_between
from flame_operator.ingestion.old_jobs import is_active, overstaying
from flame_operator.ingestion.record import RunRecord
from flame_operator.ingestion.runs import BUSY, LOOK_SECONDS, Decision, caught_up, retry_after
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import managed_qdrant
from flame_operator.workloads.jobs import Ended

WAIT_SECONDS = 30.0
"""How soon to look again at what a run waits for."""
CHECK_SECONDS = 86400.0
"""How long after a success the copies are counted again: a peer may be lost while no operator runs."""


@dataclass(frozen=True)
class Peers:
    """The pods of a managed Qdrant, as its StatefulSet tells."""

    ready: int = 0
    """How many are ready; a pod is when it is a member of the cluster and knows all that the others do."""
    whole: bool = False
    """Whether there are as many as the spec wants, and all of them are ready."""


def decide_copies(  # noqa: C901, PLR0911, PLR0913 - all that a decision depends on
    server: Server,
    record: RunRecord,
    jobs: Sequence[Manifest],
    *,
    load: RunRecord,
    peers: Peers,
    ended: Ended | None,
    load_ended: Ended | None,
    now: str,
) -> Decision:
    """Decide the next step of giving each peer of a managed Qdrant a copy of all collections.

    A run is due when the number of peers has changed, when a peer was away, perhaps with its volume, when a
    load has left too few copies, and once a day. Most often a load has made all of them, and no run is due.

    Args:
        server: The server.
        record: The record of these runs. Without a phase, a run is due.
        jobs: All Jobs of the server.
        load: The record of its loads.
        peers: The pods of its Qdrant.
        ended: How the Job that is recorded as running has ended; None while it runs.
        load_ended: How a load has ended since the last pass; None when none has.
        now: The time, RFC 3339 in UTC.
    """
    managed = managed_qdrant(server)
    if managed is None or managed.replicas == 1:
        return Decision(RunRecord())
    wanted = str(managed.replicas)
    record = caught_up(record, jobs, ended, now, ("replicate",))
    if ended is not None and ended.succeeded:
        record = replace(record, peers=ended.peers, copies=ended.copies)
    if record.phase == "Running":
        return Decision(record, look_again=LOOK_SECONDS)
    if stop := overstaying(record, jobs, now):
        return Decision(record, stop=stop, look_again=LOOK_SECONDS)
    if not load.succeeded:
        return Decision(record)  # there is nothing to copy yet
    record = _due(record, peers, wanted, now)
    if load_ended is not None and load_ended.succeeded and load_ended.copies:
        record = _after_load(record, load, load_ended, peers, wanted, now)
    if record.phase == "Succeeded" or server.spec.suspend:
        return Decision(record, look_again=_seconds_to_check(record, now))
    if not peers.whole:
        why = f"{peers.ready} of {wanted} Qdrant pods are ready."
        return Decision(record, look_again=WAIT_SECONDS, waits_for=why)
    left = _seconds_to_retry(record, now)
    if left is None or left > 0:
        return Decision(record, look_again=left)
    if any(is_active(job) for job in jobs):
        return Decision(record, look_again=WAIT_SECONDS, waits_for=BUSY)
    run = Run("replicate", record.trigger or f"first/{load.succeeded}", wanted, record.attempt + 1)
    started = replace(
        record, job=run.name(server), phase="Running", trigger=run.trigger, inputs=wanted,
        attempt=run.attempt, started=now, ended="",
    )  # fmt: skip
    return Decision(started, start=run, look_again=LOOK_SECONDS)


def progress_of(server: Server, decision: Decision, peers: Peers) -> str:
    """What a managed Qdrant is on its way to, for the user; empty when it is as the spec wants it."""
    managed = managed_qdrant(server)
    if managed is None:
        return ""
    if not peers.whole:
        return f"{peers.ready} of {managed.replicas} Qdrant pods are ready."
    match decision.record.phase:
        case "Running":
            return "The copies on Qdrant's peers are being counted, and made where they are missing."
        case "Failed":
            return f"Copies are missing on Qdrant's peers: {decision.record.message}"
    return decision.waits_for


def is_incomplete(decision: Decision) -> bool:
    """Whether copies are missing, or may be, and a run is under way or about to start."""
    return decision.record.phase == "Running" or bool(decision.waits_for)


def _due(record: RunRecord, peers: Peers, wanted: str, now: str) -> RunRecord:
    """The record, without its phase when something has happened that calls for another run."""
    if record.phase and record.inputs != wanted:
        return _anew(record, f"replicas/{wanted}/{now}")
    # What Qdrant lacks it can't be given now, so failures don't count either.
    if record.phase and not peers.whole:
        return _anew(record, f"peers/{now}")
    left = _seconds_to_check(record, now)
    return _anew(record, f"check/{now}") if left is not None and left <= 0 else record


def _seconds_to_check(record: RunRecord, now: str) -> float | None:
    if record.phase != "Succeeded":
        return None
    return CHECK_SECONDS - seconds_between(record.succeeded, now)


def _anew(record: RunRecord, trigger: str) -> RunRecord:
    return replace(record, phase="", trigger=trigger, failure="", message="", attempt=0)


def _after_load(  # noqa: PLR0913, PLR0917 - all that a record depends on
    record: RunRecord, load: RunRecord, ended: Ended, peers: Peers, wanted: str, now: str
) -> RunRecord:
    record = replace(record, peers=ended.peers, copies=ended.copies)
    if not peers.whole:
        return record
    if ended.copies < int(wanted):
        return _anew(record, f"load/{load.job}")
    return replace(
        _anew(record, f"load/{load.job}"), phase="Succeeded", inputs=wanted, loaded=wanted, ended=now,
        succeeded=now, message=ended.copied,
    )  # fmt: skip


def _seconds_to_retry(record: RunRecord, now: str) -> float | None:
    """Seconds until a run may start; None when none helps before something changes."""
    if record.phase != "Failed":
        return 0.0
    wait = retry_after(record)
    return None if wait is None else max(wait - seconds_between(record.ended, now), 0.0)
