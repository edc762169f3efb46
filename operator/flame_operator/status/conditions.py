"""What a server's status should say. Pure: nothing in it changes without a cause."""

from typing import Any

from flame_operator.desired.naming import mode, selector_labels, url
from flame_operator.formats.text import cut
from flame_operator.ingestion.record import IngestionState
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import (
    NO_INDEX,
    NO_PODS,
    NOT_APPLIED,
    REASONS,
    Condition,
    Reason,
)
from flame_operator.resource.server import Server
from flame_operator.resource.unions import loads_docs
from flame_operator.status.index import ingestion_trouble, kept, memory, needs_the_user, searched
from flame_operator.status.outcome import Check, Outcome
from flame_operator.workloads.deployments import PodCounts, pod_counts

PENDING = "Pending"
"""The reason of the conditions that the CRD's default gives a new resource."""


def server_status(
    server: Server, deployment: Manifest | None, outcome: Outcome, old: Manifest, now: str
) -> Manifest:
    """The whole status that the operator owns.

    Args:
        server: The resource.
        deployment: Its live Deployment, when that is ours.
        outcome: How applying went.
        old: The status there is, whose transition times stay where the condition's status does.
        now: The time, RFC 3339 in UTC, whole seconds.
    """
    pods = pod_counts(deployment)
    check = outcome.check if pods.available else None
    available = _available(pods, outcome.why)
    verified = _verified(pods, check, old)
    index = _index_ready(available, outcome.ingestion)
    stalled = _stalled(outcome, pods, index)
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
    # What was known of a server stays until something else is known.
    if known := (check and check.server) or old.get("server"):
        status["server"] = known
    if known := searched(outcome.ingestion, check.index if check else {}, old.get("index") or {}):
        status["index"] = known
    return status | (
        memory(outcome.ingestion) if outcome.ingestion else kept(old) if loads_docs(server) else {}
    )


def blocked_status(generation: int, reason: Reason, message: str, old: Manifest, now: str) -> Manifest:
    """The status of a resource whose children are left alone, because nothing can be made of its spec."""
    stalled = Condition("True", reason, message)
    unknown = Condition("Unknown", reason, "Not looked at: see the condition Stalled.")
    conditions = {
        "Ready": stalled._replace(status="False"),
        "Available": unknown,
        "IndexReady": unknown,
        "Verified": unknown,
        "Reconciling": Condition("False", reason, "Nothing is done until the spec is another."),
        "Stalled": stalled,
    }
    known = {"observedGeneration": generation, "conditions": _conditions(conditions, generation, old, now)}
    return known | kept(old)


def _available(pods: PodCounts, why: str) -> Condition:
    if pods.available > 0:
        return Condition("True", Reason.AVAILABLE, "At least one pod is ready.")
    if not pods.seen:
        return Condition("Unknown", Reason.DEPLOYING, "The Deployment has not reported on its pods yet.")
    if pods.wanted == 0:
        return Condition(
            "False", Reason.SCALED_TO_ZERO, "No pods are wanted: the Deployment's replicas are 0."
        )
    if failure := _failure(pods):
        return failure._replace(status="False")
    return Condition("False", Reason.PODS_NOT_READY, f"None of {pods.wanted} pods is ready. {why}".strip())


def _failure(pods: PodCounts) -> Condition | None:
    if pods.rejected:
        return Condition("True", Reason.PODS_REJECTED, pods.rejected)
    if pods.stuck:
        return Condition("True", Reason.PROGRESS_DEADLINE_EXCEEDED, pods.stuck)
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
        return Condition("Unknown", Reason.NOT_VERIFIED, "There is no pod to ask.")
    # After the operator's restart the last finding holds until there is a new one: nothing is written.
    last = next((one for one in old.get("conditions") or [] if one["type"] == "Verified"), None)
    if last is not None and last["status"] != "Unknown" and last["reason"] in REASONS:
        return Condition(last["status"], Reason(last["reason"]), last["message"])
    return Condition("Unknown", Reason.NOT_VERIFIED, "The server will be asked in a moment.")


def _stalled(outcome: Outcome, pods: PodCounts, index: Condition) -> Condition:  # noqa: PLR0911 - a list
    if outcome.names_taken:
        return Condition(
            "True",
            Reason.NAME_TAKEN,
            f"{', '.join(outcome.names_taken)} exists already and isn't this resource's: it is left alone. "
            "Delete or rename it, or give this resource another name.",
        )
    if outcome.missing:
        return Condition("True", Reason.REFERENCE_MISSING, "; ".join(outcome.missing))
    if outcome.refused is not None:
        return Condition(
            "True", Reason.APPLY_REFUSED, f"The API server refuses what the spec asks for: {outcome.refused}"
        )
    if failure := _failure(pods):
        return failure
    if index.reason == Reason.INGESTION_FAILED and needs_the_user(outcome.ingestion):
        return index._replace(status="True")
    if outcome.unsupported:
        return Condition("True", Reason.FEATURE_DISABLED, "; ".join(outcome.unsupported))
    return Condition("False", Reason.UP_TO_DATE, "Nothing is in the way.")


def _reconciling(  # noqa: PLR0911 - a list
    server: Server, pods: PodCounts, stalled: Condition, outcome: Outcome, index: Condition
) -> Condition:
    if server.spec.suspend:
        return Condition(
            "False", Reason.SUSPENDED, "spec.suspend is true: the children are left as they are."
        )
    if stalled.status == "True":
        return Condition("False", stalled.reason, "See the condition Stalled.")
    if outcome.being_deleted:
        return Condition(
            "True", Reason.DEPLOYING, f"Waiting until {', '.join(outcome.being_deleted)} is gone."
        )
    if outcome.waits_for_turn:
        return Condition(
            "True",
            Reason.WAITING_FOR_TURN,
            "A Secret or ConfigMap has changed; the pods are replaced once others that read it have been.",
        )
    if outcome.awaited:
        return Condition("True", Reason.REFERENCE_MISSING, "; ".join(outcome.awaited))
    if not pods.seen:
        return Condition("True", Reason.DEPLOYING, "The children are being created.")
    if index.reason == Reason.INGESTING:
        return index._replace(status="True")
    if not pods.complete:
        return Condition(
            "True", Reason.ROLLOUT_IN_PROGRESS, "Not all pods run the current spec and are ready yet."
        )
    return Condition("False", Reason.UP_TO_DATE, "All children are as the spec says.")


def _ready(
    server: Server, available: Condition, verified: Condition, stalled: Condition, index: Condition
) -> Condition:
    blocked = NOT_APPLIED if available.status == "True" else NOT_APPLIED | NO_PODS
    if stalled.status == "True" and stalled.reason in blocked:
        return stalled._replace(status="False")
    if available.status != "True":
        # Pods aren't ready before there is an index: why there is none says more.
        return index if index.reason in NO_INDEX else available
    if verified.status != "True":
        return verified._replace(status="False")
    if server.spec.suspend:
        return Condition(
            "True", Reason.SUSPENDED, f"Suspended: changes wait. The pods meanwhile: {verified.message}"
        )
    return verified


def _conditions(
    wanted: dict[str, Condition], generation: int, old: Manifest, now: str
) -> list[dict[str, Any]]:
    # What the schema's default says of a new resource is nobody's finding, and has no time.
    found = [condition for condition in old.get("conditions") or [] if condition["reason"] != PENDING]
    before = {condition["type"]: condition for condition in found}
    return [
        {
            "type": kind,
            "status": says.status,
            "observedGeneration": generation,
            "lastTransitionTime": before[kind]["lastTransitionTime"]
            if kind in before and before[kind]["status"] == says.status
            else now,
            "reason": str(says.reason),
            "message": cut(says.message),
        }
        for kind, says in wanted.items()
    ]
