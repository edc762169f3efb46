"""Holds the record of runs that the status keeps between passes, and the state of ingestion. Pure."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flame_operator.formats.shape import mapping
from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.causes import Cause
from flame_operator.workloads.jobs import Failure

Phase = Literal["Running", "Succeeded", "Failed"]


@dataclass(frozen=True)
class RunRecord:
    """The record of a server's runs of one kind: loads, snapshots or copies. The status keeps it.

    All times are RFC 3339 in UTC; empty means never.

    Attributes:
        job: The name of the Job that was started last. The fields up to `ended` are about its run.
        phase: The state of the run; empty before the first run.
        message: How it ended, for the user.
        failure: Whose fault a failure was.
        trigger: Why it ran.
        inputs: The digest of what it was made from.
        attempt: The number of the attempt; 0 once one has succeeded.
        started: When it started.
        ended: When it ended.
        loaded: The inputs of the last load that succeeded.
        succeeded: When that load ended.
        scheduled: The last time of the schedule that was acted on.
        reindex: The value of the annotation `reindex` that was acted on.
        rollback: The value of the annotation `rollback` that was acted on; empty once the annotation has been
            removed and a run has followed.
        sources: The digest of the ConfigMaps with docs when a run was last started.
        peers: How many peers Qdrant had when copies were last made or counted.
        copies: How many copies of each collection they had at least.
    """

    job: str = ""
    phase: Phase | Literal[""] = ""
    message: str = ""
    failure: Failure = ""
    trigger: str = ""
    inputs: str = ""
    attempt: int = 0
    started: str = ""
    ended: str = ""
    loaded: str = ""
    succeeded: str = ""
    scheduled: str = ""
    reindex: str = ""
    rollback: str = ""
    sources: str = ""
    peers: int = 0
    copies: int = 0


@dataclass(frozen=True)
class IngestionState:
    """The state of a server's ingestion, for its status."""

    record: RunRecord
    snapshots: RunRecord = RunRecord()
    message: str = ""
    """What the run is doing now, or what it waits for."""
    cause: Cause | None = None
    """Why a run that is under way doesn't get to work, as far as that is known."""
    waits_for_turn: bool = False
    """Whether a run that is due waits only for the runs of other servers."""
    index: Manifest = field(default_factory=dict)
    """The index that a run has published since the last pass, in the form of `status.index`."""
    stale: bool = False
    """Whether the index is older than twice its schedule's interval."""
    look_again: float | None = None
    """Seconds until a step is due that no event announces."""
    copies: RunRecord = RunRecord()
    """The record of runs that make copies on Qdrant's peers."""
    store_progress: str = ""
    """What the managed Qdrant is on its way to; empty when it is as the spec wants it."""


def is_rollback(record: RunRecord) -> bool:
    """Whether the last run was a rollback."""
    return record.trigger.startswith("rollback/")


_FIELDS = {
    "job": "job", "phase": "phase", "message": "message", "failure": "failure", "trigger": "trigger",
    "inputs": "inputs", "attempt": "attempt", "started": "startTime", "ended": "completionTime",
    "loaded": "loadedInputs", "succeeded": "lastSuccessfulTime", "scheduled": "lastScheduleTime",
    "reindex": "reindex", "rollback": "rollback", "sources": "sources", "peers": "peers", "copies": "copies",
}  # fmt: skip


def record_of(status: Manifest, field_name: str) -> RunRecord:
    """Read a record from the field `field_name` of a status."""
    stored = mapping(status.get(field_name))
    empty = RunRecord()
    found = {name: stored[text] for name, text in _FIELDS.items() if text in stored}
    # What is of another type wasn't written by this operator.
    return replace(
        empty, **{name: value for name, value in found.items() if type(value) is type(getattr(empty, name))}
    )


def as_status(record: RunRecord) -> dict[str, Any]:
    """The record in the form in which the status keeps it."""
    found = {text: getattr(record, name) for name, text in _FIELDS.items()}
    return {text: value for text, value in found.items() if value not in ("", 0)}
