"""Makes a server's status and its conditions. Pure: nothing in the status changes without a cause."""

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
from flame_operator.status.index import ingestion_trouble, kept, memory, searched
from flame_operator.status.outcome import Check, Outcome
from flame_operator.status.progress import failure, reconciling_condition, stalled_condition
from flame_operator.workloads.deployments import PodCounts, pod_counts

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
    stalled = stalled_condition(server, outcome, pods, index)
    conditions = {
        "Ready": _ready(server, available, verified, stalled, index),
        "Available": available,
        "IndexReady": index,
        "Verified": verified,
        "Reconciling": reconciling_condition(server, pods, stalled, outcome, index),
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
    # An empty list where there was a list: what isn't written isn't removed until something else is written.
    if outcome.external_urls or "externalURLs" in old:
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
    if found := failure(pods, why):
        return found._replace(status="False")
    return Condition("False", Reason.PODS_NOT_READY, f"None of {pods.wanted} pods is ready. {why}".strip())


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
