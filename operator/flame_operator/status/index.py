"""Makes the parts of the status that depend on ingestion: IndexReady, `index`, the records of runs. Pure."""

from flame_operator.formats.text import cut
from flame_operator.ingestion.record import IngestionState, as_status, is_rollback
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import Condition, Reason


def searched(ingestion: IngestionState | None, told: Manifest, old: Manifest) -> Manifest:
    """The content of `status.index`: the index that is searched.

    Args:
        ingestion: The state of ingestion; None when the operator loads nothing.
        told: The index as the server reports it, which counts only without ingestion; may be empty.
        old: The stored `status.index`.
    """
    if ingestion is None:
        return told or old
    # The server's report isn't used: it notices a new index some seconds late, and uses another name for it.
    return (ingestion.index or old) | (
        {"lastSuccessfulTime": ingestion.record.succeeded} if ingestion.record.succeeded else {}
    )


def memory(ingestion: IngestionState) -> Manifest:
    """The fields of the status that hold the records of runs, for the next pass and for users."""
    record = as_status(ingestion.record)
    if ingestion.message:
        record["progress"] = cut(ingestion.message)
    snapshots = as_status(ingestion.snapshots)
    copies = as_status(ingestion.copies)
    if copies and ingestion.store_progress:
        copies["progress"] = cut(ingestion.store_progress)
    found = {"ingestion": record, "snapshots": snapshots, "vectorStore": copies}
    return {name: one for name, one in found.items() if one or name == "ingestion"}


def kept(old: Manifest) -> Manifest:
    """The stored records of runs and the index; if they were lost, loading would start all over again."""
    return {part: old[part] for part in ("ingestion", "snapshots", "vectorStore", "index") if old.get(part)}


def ingestion_trouble(ingestion: IngestionState) -> Condition | None:
    """The condition IndexReady when ingestion decides it, as after a failure or a rollback; else None."""
    record = ingestion.record
    before = " The previous index is served." if record.succeeded else ""
    if record.failure and record.phase in ("Failed", "Running"):
        reason = Reason.INDEX_HELD_BACK if record.failure == "Held" else Reason.INGESTION_FAILED
        progress = f" Now: {ingestion.message}" if record.phase == "Running" and ingestion.message else ""
        return Condition("False", reason, f"{record.message}{progress}{before}")
    if not record.succeeded:
        return Condition(
            "False", Reason.INGESTING, f"No index has been loaded yet. {ingestion.message}".strip()
        )
    if ingestion.stale:
        message = f"The index was loaded at {record.succeeded}, more than twice the schedule's interval ago."
        return Condition("False", Reason.INDEX_STALE, message)
    if record.rollback and is_rollback(record):
        return Condition(
            "True",
            Reason.INDEX_LOADED,
            "Rolled back to the previous index; nothing is loaded until the annotation flamemcp.dev/rollback "
            "is removed.",
        )
    return None


def needs_the_user(ingestion: IngestionState | None) -> bool:
    """Whether the last run failed and won't be retried until the user changes something."""
    return ingestion is not None and ingestion.record.phase == "Failed" and ingestion.look_again is None
