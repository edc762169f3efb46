"""Decides when the next pass over a server is due even without an event. Pure."""

from flame_operator.formats.times import seconds_between
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.status import condition
from flame_operator.status.outcome import Outcome
from flame_operator.workloads.deployments import PodCounts, no_pod_serves

LOOK_AGAIN_SECONDS = 30.0
"""How soon to read a foreign object again: it isn't watched, so no event tells when it goes away."""
OVERDUE_SECONDS = 10.0
"""How long pods may take to start before they are read to find out why they aren't ready."""
ASK_AGAIN_SECONDS = 60.0
"""How soon to read such pods again: the cause may change without an event."""


def is_overdue(status: Manifest, now: str) -> bool:
    """Whether there has been no ready pod for longer than pods usually need to start."""
    available = condition(status, "Available")
    if available is None or available["status"] != "False":
        return False
    return seconds_between(available["lastTransitionTime"], now) >= OVERDUE_SECONDS


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
    if not no_pod_serves(pods):
        return None
    return ASK_AGAIN_SECONDS if overdue else OVERDUE_SECONDS + 1
