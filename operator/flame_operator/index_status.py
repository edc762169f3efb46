"""What loads mean for the status: the condition IndexReady, what is searched, and the memory. Pure."""

from flame_operator.lanes import Loading, as_status, is_rollback
from flame_operator.model import Manifest
from flame_operator.reasons import Reason, Says

MESSAGE_LENGTH = 1024
"""Characters; the CRD bounds messages to the same."""


def searched(loading: Loading | None, told: Manifest, old: Manifest) -> Manifest:
    """What is searched: what has been loaded, and where nothing is, what the server says."""
    if loading is None:
        return told or old
    # Not what the server says: it notices a new one some seconds later, and knows it by another name.
    return (loading.index or old) | (
        {"lastSuccessfulTime": loading.lane.succeeded} if loading.lane.succeeded else {}
    )


def memory(loading: Loading) -> Manifest:
    """What the next pass has to know, and what people want to."""
    lane = as_status(loading.lane)
    if loading.message:
        lane["progress"] = cut(loading.message)
    snapshots = as_status(loading.snapshots)
    return {"ingestion": lane} | ({"snapshots": snapshots} if snapshots else {})


def kept(old: Manifest) -> Manifest:
    """What has been remembered of loads: without it they would begin anew."""
    return {part: old[part] for part in ("ingestion", "snapshots", "index") if old.get(part)}


def loading_trouble(loading: Loading) -> Says | None:
    """What keeps the index from being what the spec asks for, or what is remarkable about it."""
    lane = loading.lane
    before = " The index before is served." if lane.succeeded else ""
    if lane.failure and lane.phase in ("Failed", "Running"):
        reason = Reason.INDEX_HELD_BACK if lane.failure == "Held" else Reason.INGESTION_FAILED
        again = f" Now: {loading.message}" if lane.phase == "Running" and loading.message else ""
        return Says("False", reason, f"{lane.message}{again}{before}")
    if not lane.succeeded:
        return Says("False", Reason.INGESTING, f"The first index is on its way. {loading.message}".strip())
    if loading.stale:
        message = f"It was loaded at {lane.succeeded}, longer ago than twice the schedule's interval."
        return Says("False", Reason.INDEX_STALE, message)
    if lane.rollback and is_rollback(lane):
        return Says(
            "True",
            Reason.INDEX_LOADED,
            "Rolled back to the index before; nothing is loaded until the annotation flamemcp.dev/rollback "
            "is removed.",
        )
    return None


def needs_the_user(loading: Loading | None) -> bool:
    """Whether nothing is tried any more before something changes."""
    return loading is not None and loading.lane.phase == "Failed" and loading.look_again is None


def cut(message: str) -> str:
    """As much of a message as the schema has room for."""
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
