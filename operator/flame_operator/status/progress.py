"""Makes the conditions Stalled and Reconciling: what keeps a resource from being as its spec says. Pure."""

from collections.abc import Iterator

from flame_operator.resource.reasons import Condition, Reason
from flame_operator.resource.server import Server
from flame_operator.status.index import needs_the_user
from flame_operator.status.outcome import Outcome
from flame_operator.workloads.causes import Cause
from flame_operator.workloads.deployments import PodCounts

ADVICE = "Check the pods: perhaps an image can't be pulled, a container fails, or the cluster has no room."
STORE, RUN = "Qdrant: ", "A run: "
"""Whose pods a cause is about, before its message; the server's own need no word."""


def stalled_condition(  # noqa: PLR0911 - a list
    server: Server, outcome: Outcome, pods: PodCounts, index: Condition
) -> Condition:
    """Whether somebody has to act before the resource gets on."""
    if outcome.names_taken:
        return Condition(
            "True",
            Reason.NAME_TAKEN,
            "These objects have names that this resource needs, but don't belong to it: "
            f"{', '.join(outcome.names_taken)}. They are left alone: delete or rename them, or give this "
            "resource another name.",
        )
    if outcome.token_gone and outcome.refused is None:
        return Condition("True", Reason.TOKEN_GONE, _token_gone(server, outcome))
    if outcome.missing and not outcome.token_gone:
        return Condition("True", Reason.REFERENCE_MISSING, "; ".join(outcome.missing))
    if outcome.refused is not None:
        return Condition(
            "True",
            Reason.APPLY_REFUSED,
            f"The API server refuses an object that the spec asks for: {outcome.refused}",
        )
    if found := failure(pods, outcome.why.message if outcome.why else "") or _stuck(outcome):
        return found
    if index.reason == Reason.INGESTION_FAILED and needs_the_user(outcome.ingestion):
        return index._replace(status="True")
    if outcome.unsupported:
        return Condition("True", Reason.FEATURE_DISABLED, "; ".join(outcome.unsupported))
    if outcome.conflict:
        return Condition("True", Reason.OPERATOR_CONFLICT, outcome.conflict)
    if any(_causes(outcome)):
        return Condition(
            "False", Reason.UP_TO_DATE, "Perhaps it goes on by itself: see Reconciling and Ready."
        )
    return Condition("False", Reason.UP_TO_DATE, "Nothing is blocking progress.")


def reconciling_condition(  # noqa: PLR0911 - a list
    server: Server, pods: PodCounts, stalled: Condition, outcome: Outcome, index: Condition
) -> Condition:
    """Whether the resource is on its way to what its spec says."""
    if server.spec.suspend:
        return Condition(
            "False", Reason.SUSPENDED, "spec.suspend is true: the children are left as they are."
        )
    if stalled.status == "True" and stalled.reason != Reason.OPERATOR_CONFLICT:
        return Condition("False", stalled.reason, f"Stalled: {stalled.message}")
    if outcome.being_deleted:
        return Condition(
            "True", Reason.DEPLOYING, f"Waiting for the deletion of {', '.join(outcome.being_deleted)}."
        )
    if index.reason == Reason.INGESTING and outcome.ingestion and outcome.ingestion.waits_for_turn:
        return Condition("True", Reason.WAITING_FOR_TURN, index.message)
    if outcome.waits_for_turn:
        return Condition(
            "True",
            Reason.WAITING_FOR_TURN,
            "A Secret or ConfigMap has changed; other servers that read it replace their pods first.",
        )
    if outcome.awaited:
        return Condition("True", Reason.REFERENCE_MISSING, "; ".join(outcome.awaited))
    if not pods.seen:
        return Condition("True", Reason.DEPLOYING, "The children are being created.")
    if index.reason == Reason.INGESTING:
        return index._replace(status="True")
    return _unfinished(pods, outcome) or Condition("False", Reason.UP_TO_DATE, "All children match the spec.")


def failure(pods: PodCounts, why: str) -> Condition | None:
    """The condition Stalled when the Deployment itself says that it has failed."""
    if pods.rejected:
        return Condition("True", Reason.PODS_REJECTED, pods.rejected)
    if pods.stuck:
        return Condition("True", Reason.PROGRESS_DEADLINE_EXCEEDED, f"{pods.stuck} {why or ADVICE}")
    return None


def _stuck(outcome: Outcome) -> Condition | None:
    """The condition Stalled when pods, or those who should make them, tell that somebody has to act."""
    for whose, cause in _causes(outcome):
        if cause.needs_user:
            reason = Reason.PODS_REJECTED if cause.refused else Reason.PODS_NOT_READY
            return Condition("True", reason, f"{whose}{cause.message}")
    return None


def _unfinished(pods: PodCounts, outcome: Outcome) -> Condition | None:
    """The condition Reconciling while what children make isn't as the spec says."""
    why = {whose: cause.message for whose, cause in _causes(outcome)}
    store = outcome.ingestion.store_progress if outcome.ingestion else ""
    # Servers wait for their Qdrant, so it comes first.
    for whose, counts, progress in ((STORE, outcome.store, store), ("", pods, "")):
        if progress or (counts is not None and not counts.complete):
            message = progress or f"{whose}Not all pods run the current spec and are ready yet."
            return Condition("True", Reason.ROLLOUT_IN_PROGRESS, f"{message} {why.get(whose, '')}".strip())
    if STORE in why:
        return Condition("True", Reason.ROLLOUT_IN_PROGRESS, f"{STORE}{why[STORE]}")
    if RUN in why:
        return Condition("True", Reason.INGESTING, f"{RUN}{why[RUN]}")
    return None


def _causes(outcome: Outcome) -> Iterator[tuple[str, Cause]]:
    """What keeps pods from being as the spec says, and whose pods they are."""
    if outcome.why:
        yield "", outcome.why
    if outcome.why_store:
        yield STORE, outcome.why_store
    if outcome.ingestion and outcome.ingestion.cause:
        yield RUN, outcome.ingestion.cause


def _token_gone(server: Server, outcome: Outcome) -> str:
    done = (
        "spec.suspend keeps the operator from stopping the pods, which still accept that token; delete the "
        "Deployment to stop them"
        if server.spec.suspend
        else "All pods are stopped, because they would go on accepting that token. They start by themselves "
        "once the Secret has it, or another one, again"
    )
    return f"{'; '.join(outcome.missing)}. {done}."
