"""What is remembered of loads between passes, and where they have come to. Pure."""

from dataclasses import dataclass, field
from typing import Any, Literal

from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.jobs import Failure

Phase = Literal["Running", "Succeeded", "Failed"]


@dataclass(frozen=True)
class RunRecord:
    """What is remembered of one kind of work between passes: it is kept in the status.

    Attributes:
        job: The last Job that was started.
        phase: How it went; empty before the first.
        message: What it says of itself.
        failure: Whose fault it was.
        trigger: Why it ran.
        inputs: Digest of what it was made from.
        attempt: Which try it is; 0 once one has succeeded.
        started: When; as conditions write times.
        ended: When.
        loaded: The inputs of the last run that succeeded.
        succeeded: When that ended.
        scheduled: The last time of the schedule that was acted on.
        reindex: The value of the annotation that was acted on.
        rollback: Likewise; empty once it has been removed and a run has followed.
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


@dataclass(frozen=True)
class IngestionState:
    """Where a server's loads have come to, for its status."""

    record: RunRecord
    snapshots: RunRecord = RunRecord()
    message: str = ""
    """What is done now, or what is waited for."""
    index: Manifest = field(default_factory=dict)
    """What has been published in this pass, as `status.index` has it."""
    stale: bool = False
    """Whether the index is older than twice its schedule's interval."""
    look_again: float | None = None
    """Seconds until something is due without an event."""


def is_rollback(record: RunRecord) -> bool:
    """Whether the last run was one."""
    return record.trigger.startswith("rollback/")


_FIELDS = {
    "job": "job", "phase": "phase", "message": "message", "failure": "failure", "trigger": "trigger",
    "inputs": "inputs", "attempt": "attempt", "started": "startTime", "ended": "completionTime",
    "loaded": "loadedInputs", "succeeded": "lastSuccessfulTime", "scheduled": "lastScheduleTime",
    "reindex": "reindex", "rollback": "rollback",
}  # fmt: skip


def record_of(status: Manifest, field_name: str) -> RunRecord:
    """The memory as the status has it."""
    stored: dict[str, Any] = status.get(field_name) or {}
    return RunRecord(**{name: stored[text] for name, text in _FIELDS.items() if text in stored})


def as_status(record: RunRecord) -> dict[str, Any]:
    """The memory as the status keeps it."""
    found = {text: getattr(record, name) for name, text in _FIELDS.items()}
    return {text: value for text, value in found.items() if value not in ("", 0)}
