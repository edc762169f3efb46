"""What loads mean for the status: the condition IndexReady, what is searched, and the memory. Pure."""

from flame_operator.formats.text import cut
from flame_operator.ingestion.record import IngestionState, as_status, is_rollback
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import Condition, Reason


def searched(ingestion: IngestionState | None, told: Manifest, old: Manifest) -> Manifest:
    """What is searched: what has been loaded, and where nothing is, what the server says."""
    if ingestion is None:
        return told or old
    # Not what the server says: it notices a new one some seconds later, and knows it by another name.
    return (ingestion.index or old) | (
        {"lastSuccessfulTime": ingestion.record.succeeded} if ingestion.record.succeeded else {}
    )


def memory(ingestion: IngestionState) -> Manifest:
    """What the next pass has to know, and what people want to."""
    record = as_status(ingestion.record)
    if ingestion.message:
        record["progress"] = cut(ingestion.message)
    snapshots = as_status(ingestion.snapshots)
    return {"ingestion": record} | ({"snapshots": snapshots} if snapshots else {})


def kept(old: Manifest) -> Manifest:
    """What has been remembered of loads: without it they would begin anew."""
    return {part: old[part] for part in ("ingestion", "snapshots", "index") if old.get(part)}


def ingestion_trouble(ingestion: IngestionState) -> Condition | None:
    """What keeps the index from being what the spec asks for, or what is remarkable about it."""
    record = ingestion.record
    before = " The index before is served." if record.succeeded else ""
    if record.failure and record.phase in ("Failed", "Running"):
        reason = Reason.INDEX_HELD_BACK if record.failure == "Held" else Reason.INGESTION_FAILED
        again = f" Now: {ingestion.message}" if record.phase == "Running" and ingestion.message else ""
        return Condition("False", reason, f"{record.message}{again}{before}")
    if not record.succeeded:
        return Condition(
            "False", Reason.INGESTING, f"The first index is on its way. {ingestion.message}".strip()
        )
    if ingestion.stale:
        message = f"It was loaded at {record.succeeded}, longer ago than twice the schedule's interval."
        return Condition("False", Reason.INDEX_STALE, message)
    if record.rollback and is_rollback(record):
        return Condition(
            "True",
            Reason.INDEX_LOADED,
            "Rolled back to the index before; nothing is loaded until the annotation flamemcp.dev/rollback "
            "is removed.",
        )
    return None


def needs_the_user(ingestion: IngestionState | None) -> bool:
    """Whether nothing is tried any more before something changes."""
    return ingestion is not None and ingestion.record.phase == "Failed" and ingestion.look_again is None
