"""Makes a server's status and its conditions. Pure: nothing in the status changes without a cause."""

from collections.abc import Iterator
from typing import Any

from flame_operator.desired.naming import mode, selector_labels, url
from flame_operator.formats.shape import mappings, text
from flame_operator.formats.text import cut
from flame_operator.ingestion.record import IngestionState
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import NO_INDEX, NO_PODS, NOT_APPLIED, REASONS, Condition, Reason
from flame_operator.resource.server import Server
from flame_operator.resource.status import condition
from flame_operator.resource.unions import loads_docs
from flame_operator.status.index import ingestion_trouble, kept, memory, needs_the_user, searched
from flame_operator.status.outcome import Check, Outcome
from flame_operator.workloads.causes import Cause
from flame_operator.workloads.deployments import PodCounts, pod_counts

ADVICE = "Check the pods: perhaps an image can't be pulled, a container fails, or the cluster has no room."
STORE, RUN = "Qdrant: ", "A run: "
"""Whose pods a cause is about, before its message; the server's own need no word."""
PENDING = "Pending"
"""The reason of the conditions that a new resource gets from the CRD's defaults."""


def server_status(
    server: Server, deployment: Manifest | None, outcome: Outcome, old: Manifest, now: str
) -> Manifest:
    """The whole status of a server; the operator owns all of its fields.

    Args:
        server: The server.
        deployment: Its own live Deployment.
        outcome: What the pass has found and done.
        old: The stored status, from which a condition keeps its transition time while its status is the same.
        now: The time, RFC 3339 in UTC, whole seconds.
    """
    pods = pod_counts(deployment)
    check = outcome.check if pods.available else None
    available = _available(pods, outcome.why.message if outcome.why else "")
    verified = _verified(pods, check, old)
    index = _index_ready(available, outcome.ingestion)
    stalled = _stalled(server, outcome, pods, index)
    conditions = {
        "Ready": _ready(server, available, verified, stalled, index),
        "Available": available,
        "IndexReady": index,
        "Verified": verified,
        "Reconciling": _reconciling(server, pods, stalled, outcome, index),
        "Stalled": stalled,
    }
    status = {
        "observedGeneration": server.generation,
        "conditions": _conditions(conditions, server.generation, old, now),
        "replicas": pods.total,
        "readyReplicas": pods.ready,
        "selector": ",".join(
            f"{name}={value}" for name, value in sorted(selector_labels(server.key.name).items())
        ),
        "url": url(server),
        "mode": mode(server),
    }
    # An empty list only where there was one: what isn't written isn't removed.
    if outcome.external_urls or old.get("externalURLs"):
        status["externalURLs"] = list(outcome.external_urls)
    # What is known about a server stays in the status until a check finds something else.
    if known := (check and check.server) or old.get("server"):
        status["server"] = known
    if known := searched(outcome.ingestion, check.index if check else {}, old.get("index") or {}):
        status["index"] = known
    return status | (
        memory(outcome.ingestion) if outcome.ingestion else kept(old) if loads_docs(server) else {}
    )


def blocked_status(generation: int, reason: Reason, message: str, old: Manifest, now: str) -> Manifest:
    """The status of a resource whose children are left alone, because its spec can't be used.

    Args:
        generation: The resource's generation.
        reason: The reason of its conditions.
        message: What is wrong, and what to do.
        old: The stored status.
        now: The time, RFC 3339 in UTC, whole seconds.
    """
    stalled = Condition("True", reason, message)
    unknown = Condition("Unknown", reason, "Not checked: see the condition Stalled.")
    conditions = {
        "Ready": stalled._replace(status="False"),
        "Available": unknown,
        "IndexReady": unknown,
        "Verified": unknown,
        "Reconciling": Condition("False", reason, "Nothing is done until the spec changes."),
        "Stalled": stalled,
    }
    known = {"observedGeneration": generation, "conditions": _conditions(conditions, generation, old, now)}
    return known | kept(old)


def conflict_status(generation: int, message: str, old: Manifest, now: str) -> Manifest:
    """The part of the status by which an installation says that it leaves the resource to another one."""
    stalled = {"Stalled": Condition("True", Reason.OPERATOR_CONFLICT, message)}
    return {"conditions": _conditions(stalled, generation, old, now)}


def broken_status(generation: int, old: Manifest, now: str) -> Manifest:
    """The status of a resource that the operator can't handle because of a bug of its own.

    Everything else stays as it was last seen. The message is always the same, so it is written only once.

    Args:
        generation: The resource's generation.
        old: The stored status.
        now: The time, RFC 3339 in UTC, whole seconds.
    """
    stalled = Condition(
        "True",
        Reason.INTERNAL_ERROR,
        "An unexpected error in the operator keeps it from handling this resource. It tries again every few "
        "minutes. The operator's log has the details: please report them. Perhaps a change of the spec, or "
        "the removal of an object that somebody has edited, helps until then.",
    )
    unknown = Condition("Unknown", Reason.INTERNAL_ERROR, "Not checked: see the condition Stalled.")
    conditions = {
        **dict.fromkeys(("Ready", "Available", "IndexReady", "Verified"), unknown),
        "Reconciling": Condition("False", Reason.INTERNAL_ERROR, "See the condition Stalled."),
        "Stalled": stalled,
    }
    found = {"observedGeneration": generation, "conditions": _conditions(conditions, generation, old, now)}
    return {**old, **found}


def _available(pods: PodCounts, why: str) -> Condition:
    if pods.available > 0:
        return Condition("True", Reason.AVAILABLE, "At least one pod is ready.")
    if not pods.seen:
        return Condition("Unknown", Reason.DEPLOYING, "The Deployment has not reported on its pods yet.")
    if pods.wanted == 0:
        return Condition("False", Reason.SCALED_TO_ZERO, "No pods are wanted: the Deployment has 0 replicas.")
    if failure := _failure(pods, why):
        return failure._replace(status="False")
    return Condition("False", Reason.PODS_NOT_READY, f"None of {pods.wanted} pods is ready. {why}".strip())


def _failure(pods: PodCounts, why: str) -> Condition | None:
    if pods.rejected:
        return Condition("True", Reason.PODS_REJECTED, pods.rejected)
    if pods.stuck:
        return Condition("True", Reason.PROGRESS_DEADLINE_EXCEEDED, f"{pods.stuck} {why or ADVICE}")
    return None


def _causes(outcome: Outcome) -> Iterator[tuple[str, Cause]]:
    """What keeps pods from being as the spec says, and whose pods they are."""
    if outcome.why:
        yield "", outcome.why
    if outcome.why_store:
        yield STORE, outcome.why_store
    if outcome.ingestion and outcome.ingestion.cause:
        yield RUN, outcome.ingestion.cause


def _stuck(outcome: Outcome) -> Condition | None:
    """The condition Stalled when pods, or those who should make them, tell that somebody has to act."""
    for whose, cause in _causes(outcome):
        if cause.needs_user:
            reason = Reason.PODS_REJECTED if cause.refused else Reason.PODS_NOT_READY
            return Condition("True", reason, f"{whose}{cause.message}")
    return None


def _index_ready(available: Condition, ingestion: IngestionState | None) -> Condition:
    if ingestion is not None and (found := ingestion_trouble(ingestion)):
        return found
    match available.status:
        case "True":
            return Condition(
                "True", Reason.INDEX_LOADED, "A pod becomes ready only once it has loaded its index."
            )
        case "False":
            return Condition("False", available.reason, "No pod is ready, so no index is loaded.")
        case _:
            return Condition("Unknown", available.reason, available.message)


def _verified(pods: PodCounts, check: Check | None, old: Manifest) -> Condition:
    if check is not None:
        return check.verified
    if not pods.available:
        return Condition("Unknown", Reason.NOT_VERIFIED, "There is no pod to verify.")
    # After a restart of the operator the last verdict holds until there is a new one, so nothing is written.
    last = condition(old, "Verified")
    if last is not None and last["status"] != "Unknown" and last["reason"] in REASONS:
        return Condition(last["status"], Reason(last["reason"]), last["message"])
    return Condition("Unknown", Reason.NOT_VERIFIED, "The server will be verified in a moment.")


def _stalled(  # noqa: PLR0911 - a list
    server: Server, outcome: Outcome, pods: PodCounts, index: Condition
) -> Condition:
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
    if failure := _failure(pods, outcome.why.message if outcome.why else "") or _stuck(outcome):
        return failure
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


def _token_gone(server: Server, outcome: Outcome) -> str:
    done = (
        "spec.suspend keeps the operator from stopping the pods, which still accept that token; delete the "
        "Deployment to stop them"
        if server.spec.suspend
        else "All pods are stopped, because they would go on accepting that token. They start by themselves "
        "once the Secret has it, or another one, again"
    )
    return f"{'; '.join(outcome.missing)}. {done}."


def _reconciling(  # noqa: PLR0911 - a list
    server: Server, pods: PodCounts, stalled: Condition, outcome: Outcome, index: Condition
) -> Condition:
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


def _unfinished(pods: PodCounts, outcome: Outcome) -> Condition | None:
    """The condition Reconciling while what children make isn't as the spec says."""
    why = {whose: cause.message for whose, cause in _causes(outcome)}
    store = outcome.ingestion.store_progress if outcome.ingestion else ""
    for whose, counts, progress in (("", pods, ""), (STORE, outcome.store, store)):
        if progress or (counts is not None and not counts.complete):
            message = progress or f"{whose}Not all pods run the current spec and are ready yet."
            return Condition("True", Reason.ROLLOUT_IN_PROGRESS, f"{message} {why.get(whose, '')}".strip())
    if STORE in why:
        return Condition("True", Reason.ROLLOUT_IN_PROGRESS, f"{STORE}{why[STORE]}")
    if RUN in why:
        return Condition("True", Reason.INGESTING, f"{RUN}{why[RUN]}")
    return None


def _ready(
    server: Server, available: Condition, verified: Condition, stalled: Condition, index: Condition
) -> Condition:
    blocked = NOT_APPLIED if available.status == "True" else NOT_APPLIED | NO_PODS
    if stalled.status == "True" and stalled.reason in blocked:
        return stalled._replace(status="False")
    if available.status != "True":
        # Pods aren't ready before there is an index, so the reason why there is none tells more.
        return index if index.reason in NO_INDEX else available
    if verified.status != "True":
        return verified._replace(status="False")
    if server.spec.suspend:
        return Condition(
            "True", Reason.SUSPENDED, f"Suspended: changes wait. State of the pods: {verified.message}"
        )
    return verified


def _conditions(
    wanted: dict[str, Condition], generation: int, old: Manifest, now: str
) -> list[dict[str, Any]]:
    # Conditions from the CRD's defaults aren't findings of the operator, and have no transition time.
    found = [one for one in mappings(old.get("conditions")) if one.get("reason") != PENDING]
    before = {text(stored.get("type")): stored for stored in found}
    return [
        {
            "type": kind,
            "status": condition.status,
            "observedGeneration": generation,
            "lastTransitionTime": text(before[kind].get("lastTransitionTime")) or now
            if kind in before and before[kind].get("status") == condition.status
            else now,
            "reason": str(condition.reason),
            "message": cut(condition.message),
        }
        for kind, condition in wanted.items()
    ]
