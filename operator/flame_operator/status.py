"""What a server's status should say. Pure: nothing in it changes without a cause."""

from dataclasses import dataclass, field
from typing import Any

from flame_operator.desired.naming import mode, selector_labels, url
from flame_operator.desired.unions import loads
from flame_operator.index_status import cut, kept, loading_trouble, memory, needs_the_user, searched
from flame_operator.lanes import Loading
from flame_operator.model import Manifest, Server
from flame_operator.pods import Pods, pods_of
from flame_operator.reasons import NO_INDEX, NO_PODS, NOT_APPLIED, REASONS, Reason, Says, Truth

PENDING = "Pending"
"""The reason of the conditions that the CRD's default gives a new resource."""


@dataclass(frozen=True)
class Check:
    """What the last look at the server itself has found."""

    says: Says
    server: Manifest = field(default_factory=dict)
    """`status.server`: who answered; empty when nobody did."""
    index: Manifest = field(default_factory=dict)
    """`status.index`: what is searched."""


@dataclass(frozen=True)
class Outcome:
    """How a pass over the children went."""

    taken: tuple[str, ...] = ()
    """Objects that aren't ours but have a child's name, as `Kind name`."""
    waiting: tuple[str, ...] = ()
    """Old objects that are still being deleted, as `Kind name`."""
    refused: str | None = None
    """The API server's words when it refused a child."""
    missing: tuple[str, ...] = ()
    """Secrets and ConfigMaps that the spec names and that aren't there, in words that say what to do."""
    awaited: tuple[str, ...] = ()
    """Such that pods do without, and that may come by themselves."""
    disabled: tuple[str, ...] = ()
    """Fields that need something which this cluster or this installation lacks, likewise."""
    waits_for_turn: bool = False
    """Whether pods wait until others that read the same Secret have been replaced."""
    why: str = ""
    """Why pods aren't ready, as far as they say."""
    loading: Loading | None = None
    """Where loading docs has come to; None when nothing is loaded."""
    check: Check | None = None
    """None while the server hasn't been looked at since the operator started."""


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
    pods = pods_of(deployment)
    check = outcome.check if pods.available else None
    available = _available(pods, outcome.why)
    verified = _verified(pods, check, old)
    index = _index_ready(available, outcome.loading)
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
    if known := searched(outcome.loading, check.index if check else {}, old.get("index") or {}):
        status["index"] = known
    return status | (memory(outcome.loading) if outcome.loading else kept(old) if loads(server) else {})


def blocked_status(generation: int, reason: Reason, message: str, old: Manifest, now: str) -> Manifest:
    """The status of a resource whose children are left alone, because nothing can be made of its spec."""
    stalled = Says("True", reason, message)
    unknown = Says("Unknown", reason, "Not looked at: see the condition Stalled.")
    conditions = {
        "Ready": stalled._replace(status="False"),
        "Available": unknown,
        "IndexReady": unknown,
        "Verified": unknown,
        "Reconciling": Says("False", reason, "Nothing is done until the spec is another."),
        "Stalled": stalled,
    }
    known = {"observedGeneration": generation, "conditions": _conditions(conditions, generation, old, now)}
    return known | kept(old)


def readiness(server: Manifest) -> Truth:
    """What a server's condition Ready says, as it is stored."""
    for condition in (server.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Ready" and condition["status"] in ("True", "False"):
            found: Truth = condition["status"]
            return found
    return "Unknown"


def _available(pods: Pods, why: str) -> Says:
    if pods.available > 0:
        return Says("True", Reason.AVAILABLE, "At least one pod is ready.")
    if not pods.seen:
        return Says("Unknown", Reason.DEPLOYING, "The Deployment has not reported on its pods yet.")
    if pods.wanted == 0:
        return Says("False", Reason.SCALED_TO_ZERO, "No pods are wanted: the Deployment's replicas are 0.")
    if failure := _failure(pods):
        return failure._replace(status="False")
    return Says("False", Reason.PODS_NOT_READY, f"None of {pods.wanted} pods is ready. {why}".strip())


def _failure(pods: Pods) -> Says | None:
    if pods.rejected:
        return Says("True", Reason.PODS_REJECTED, pods.rejected)
    if pods.stuck:
        return Says("True", Reason.PROGRESS_DEADLINE_EXCEEDED, pods.stuck)
    return None


def _index_ready(available: Says, loading: Loading | None) -> Says:
    if loading is not None and (found := loading_trouble(loading)):
        return found
    match available.status:
        case "True":
            return Says("True", Reason.INDEX_LOADED, "A pod becomes ready only once it has loaded its index.")
        case "False":
            return Says("False", available.reason, "No pod is ready, so no index is loaded.")
        case _:
            return Says("Unknown", available.reason, available.message)


def _verified(pods: Pods, check: Check | None, old: Manifest) -> Says:
    if check is not None:
        return check.says
    if not pods.available:
        return Says("Unknown", Reason.NOT_VERIFIED, "There is no pod to ask.")
    # After the operator's restart the last finding holds until there is a new one: nothing is written.
    last = next((one for one in old.get("conditions") or [] if one["type"] == "Verified"), None)
    if last is not None and last["status"] != "Unknown" and last["reason"] in REASONS:
        return Says(last["status"], Reason(last["reason"]), last["message"])
    return Says("Unknown", Reason.NOT_VERIFIED, "The server will be asked in a moment.")


def _stalled(outcome: Outcome, pods: Pods, index: Says) -> Says:  # noqa: PLR0911 - a list
    if outcome.taken:
        return Says(
            "True",
            Reason.NAME_TAKEN,
            f"{', '.join(outcome.taken)} exists already and isn't this resource's: it is left alone. "
            "Delete or rename it, or give this resource another name.",
        )
    if outcome.missing:
        return Says("True", Reason.REFERENCE_MISSING, "; ".join(outcome.missing))
    if outcome.refused is not None:
        return Says(
            "True", Reason.APPLY_REFUSED, f"The API server refuses what the spec asks for: {outcome.refused}"
        )
    if failure := _failure(pods):
        return failure
    if index.reason == Reason.INGESTION_FAILED and needs_the_user(outcome.loading):
        return index._replace(status="True")
    if outcome.disabled:
        return Says("True", Reason.FEATURE_DISABLED, "; ".join(outcome.disabled))
    return Says("False", Reason.UP_TO_DATE, "Nothing is in the way.")


def _reconciling(  # noqa: PLR0911 - a list
    server: Server, pods: Pods, stalled: Says, outcome: Outcome, index: Says
) -> Says:
    if server.spec.suspend:
        return Says("False", Reason.SUSPENDED, "spec.suspend is true: the children are left as they are.")
    if stalled.status == "True":
        return Says("False", stalled.reason, "See the condition Stalled.")
    if outcome.waiting:
        return Says("True", Reason.DEPLOYING, f"Waiting until {', '.join(outcome.waiting)} is gone.")
    if outcome.waits_for_turn:
        return Says(
            "True",
            Reason.WAITING_FOR_TURN,
            "A Secret or ConfigMap has changed; the pods are replaced once others that read it have been.",
        )
    if outcome.awaited:
        return Says("True", Reason.REFERENCE_MISSING, "; ".join(outcome.awaited))
    if not pods.seen:
        return Says("True", Reason.DEPLOYING, "The children are being created.")
    if index.reason == Reason.INGESTING:
        return index._replace(status="True")
    if not pods.complete:
        return Says(
            "True", Reason.ROLLOUT_IN_PROGRESS, "Not all pods run the current spec and are ready yet."
        )
    return Says("False", Reason.UP_TO_DATE, "All children are as the spec says.")


def _ready(server: Server, available: Says, verified: Says, stalled: Says, index: Says) -> Says:
    blocked = NOT_APPLIED if available.status == "True" else NOT_APPLIED | NO_PODS
    if stalled.status == "True" and stalled.reason in blocked:
        return stalled._replace(status="False")
    if available.status != "True":
        # Pods aren't ready before there is an index: why there is none says more.
        return index if index.reason in NO_INDEX else available
    if verified.status != "True":
        return verified._replace(status="False")
    if server.spec.suspend:
        return Says(
            "True", Reason.SUSPENDED, f"Suspended: changes wait. The pods meanwhile: {verified.message}"
        )
    return verified


def _conditions(wanted: dict[str, Says], generation: int, old: Manifest, now: str) -> list[dict[str, Any]]:
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
