"""Decides when the next pass over a server is due even without an event. Pure."""

from flame_operator.formats.shape import text
from flame_operator.formats.times import seconds_between
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import OF_PODS
from flame_operator.resource.status import condition
from flame_operator.status.outcome import Outcome
from flame_operator.workloads.deployments import PodCounts

LOOK_AGAIN_SECONDS = 30.0
"""How soon to read a foreign object again: it isn't watched, so no event tells when it goes away."""
OVERDUE_SECONDS = 10.0
"""How long pods may take to start before it is found out why they aren't ready."""
ASK_AGAIN_SECONDS = 60.0
"""How soon to read such pods again: the cause may change without an event."""


YOUNG_SECONDS = 600.0
"""How long after a StatefulSet has been made its volumes are looked at: perhaps they have to grow."""
_WAITS = (("Available", "False"), ("Reconciling", "True"))
"""The conditions while pods are awaited."""


def is_overdue(status: Manifest, generation: int, now: str) -> bool:
    """Whether pods have been awaited for longer than they usually need to start.

    A new spec gets new time. What `Stalled` has told is asked again at once, so that it doesn't come and go.

    Args:
        status: The stored status.
        generation: The generation of the spec that pods are awaited for.
        now: The time, RFC 3339 in UTC.
    """
    stalled = condition(status, "Stalled")
    if stalled is None or stalled.get("observedGeneration") != generation:
        return False
    if stalled["status"] == "True" and stalled["reason"] in OF_PODS:
        return True
    found = (condition(status, kind) for kind, _ in _WAITS)
    return any(
        one is not None
        and one["status"] == wanted
        and seconds_between(one["lastTransitionTime"], now) >= OVERDUE_SECONDS
        for one, (_, wanted) in zip(found, _WAITS, strict=True)
    )


def is_young(store: Manifest | None, now: str) -> bool:
    """Whether a StatefulSet was made a short while ago."""
    made = text(store["metadata"].get("creationTimestamp")) if store is not None else ""
    return bool(made) and seconds_between(made, now) < YOUNG_SECONDS


def seconds_to_next_pass(outcome: Outcome, pods: PodCounts, *, overdue: bool) -> float | None:
    """Seconds until the next pass is due even without an event, or None.

    Args:
        outcome: What this pass has found and done.
        pods: The counts of the server's pods.
        overdue: The result of `is_overdue`.
    """
    waits = [_wait_for_children(outcome, pods, overdue=overdue)]
    waits += [outcome.ingestion.look_again] if outcome.ingestion else []
    return min((seconds for seconds in waits if seconds is not None), default=None)


def _wait_for_children(outcome: Outcome, pods: PodCounts, *, overdue: bool) -> float | None:
    if outcome.names_taken or outcome.being_deleted:
        return LOOK_AGAIN_SECONDS
    waits = (
        pods.seen and not pods.complete,
        outcome.store is not None and not outcome.store.complete,
        outcome.why_store is not None,
    )
    if not any(waits):
        return None
    return ASK_AGAIN_SECONDS if overdue else OVERDUE_SECONDS + 1
