"""What a server's status should say. Pure: nothing in it changes without a cause."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from flame_operator.desired.naming import DEFAULT_REPLICAS, selector_labels, url
from flame_operator.model import Manifest, Server

ADVICE = "Look at the pods: an image that can't be pulled, a container that fails, or no room in the cluster."

MESSAGE_LENGTH = 1024
"""Characters; the CRD bounds messages to the same."""


Truth = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Every reason that a condition may give."""

    AVAILABLE = "Available"
    INDEX_LOADED = "IndexLoaded"
    DEPLOYING = "Deploying"
    PODS_NOT_READY = "PodsNotReady"
    SCALED_TO_ZERO = "ScaledToZero"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    UP_TO_DATE = "UpToDate"
    SUSPENDED = "Suspended"
    PODS_REJECTED = "PodsRejected"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    NAME_TAKEN = "NameTaken"
    INVALID_SPEC = "InvalidSpec"
    APPLY_REFUSED = "ApplyRefused"


# With these the children aren't what the spec says, however well the pods of an earlier spec may run.
NOT_APPLIED = {Reason.NAME_TAKEN, Reason.INVALID_SPEC, Reason.APPLY_REFUSED}


class Says(NamedTuple):
    """One condition's content."""

    status: Truth
    reason: Reason
    message: str


@dataclass(frozen=True)
class Outcome:
    """How a pass over the children went."""

    taken: tuple[str, ...] = ()
    """Objects that aren't ours but have a child's name, as `Kind name`."""
    waiting: tuple[str, ...] = ()
    """Old objects that are still being deleted, as `Kind name`."""
    refused: str | None = None
    """The API server's words when it refused a child."""


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
    pods = _Pods.of(deployment)
    available = _available(pods)
    stalled = _stalled(outcome, pods)
    conditions = {
        "Ready": _ready(server, available, stalled),
        "Available": available,
        "IndexReady": _index_ready(available),
        "Reconciling": _reconciling(server, pods, stalled, outcome),
        "Stalled": stalled,
    }
    return {
        "observedGeneration": server.generation,
        "conditions": _conditions(conditions, server.generation, old, now),
        "replicas": pods.total,
        "readyReplicas": pods.ready,
        "selector": ",".join(
            f"{name}={value}" for name, value in sorted(selector_labels(server.key.name).items())
        ),
        "url": url(server),
        "mode": "Standalone",
    }


def invalid_status(generation: int, message: str, old: Manifest, now: str) -> Manifest:
    """The status of a resource whose spec can't be read: its children stay as they are."""
    invalid = Says(
        "True", Reason.INVALID_SPEC, f"The spec can't be used: {message}. Correct it and apply it again."
    )
    unknown = Says("Unknown", Reason.INVALID_SPEC, "Not looked at while the spec is invalid.")
    conditions = {
        "Ready": invalid._replace(status="False"),
        "Available": unknown,
        "IndexReady": unknown,
        "Reconciling": Says("False", Reason.INVALID_SPEC, "Nothing is done until the spec is corrected."),
        "Stalled": invalid,
    }
    return {"observedGeneration": generation, "conditions": _conditions(conditions, generation, old, now)}


@dataclass(frozen=True)
class _Pods:
    """What a Deployment says about its pods."""

    wanted: int
    total: int = 0
    ready: int = 0
    available: int = 0
    seen: bool = False
    complete: bool = False
    failures: tuple[tuple[Reason, str], ...] = ()

    @classmethod
    def of(cls, deployment: Manifest | None) -> "_Pods":
        if deployment is None:
            return cls(wanted=DEFAULT_REPLICAS)
        status: dict[str, Any] = deployment.get("status") or {}
        wanted = deployment["spec"].get("replicas", 1)
        total, available = status.get("replicas", 0), status.get("availableReplicas", 0)
        current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        return cls(
            wanted=wanted,
            total=total,
            ready=status.get("readyReplicas", 0),
            available=available,
            seen="observedGeneration" in status,
            complete=current and status.get("updatedReplicas", 0) == total == available == wanted,
            failures=tuple(_failures(status.get("conditions") or [])) if current else (),
        )


def _failures(conditions: Iterable[dict[str, Any]]) -> Iterable[tuple[Reason, str]]:
    for condition in conditions:
        message = condition.get("message") or condition.get("reason") or "no message"
        match condition.get("type"), condition.get("status"), condition.get("reason"):
            case "ReplicaFailure", "True", _:
                yield Reason.PODS_REJECTED, f"The cluster refuses to create pods: {message}"
            case "Progressing", "False", "ProgressDeadlineExceeded":
                yield Reason.PROGRESS_DEADLINE_EXCEEDED, f"The rollout makes no progress: {message} {ADVICE}"


def _available(pods: _Pods) -> Says:
    if pods.available > 0:
        return Says("True", Reason.AVAILABLE, "At least one pod answers.")
    if not pods.seen:
        return Says("Unknown", Reason.DEPLOYING, "The Deployment has not reported on its pods yet.")
    if pods.wanted == 0:
        return Says("False", Reason.SCALED_TO_ZERO, "No pods are wanted: spec.replicas is 0.")
    if pods.failures:
        reason, message = pods.failures[0]
        return Says("False", reason, message)
    return Says("False", Reason.PODS_NOT_READY, f"None of {pods.wanted} pods is ready.")


def _index_ready(available: Says) -> Says:
    match available.status:
        case "True":
            return Says("True", Reason.INDEX_LOADED, "A pod becomes ready only once it has loaded its index.")
        case "False":
            return Says("False", available.reason, "No pod is ready, so no index is loaded.")
        case _:
            return Says("Unknown", available.reason, available.message)


def _stalled(outcome: Outcome, pods: _Pods) -> Says:
    if outcome.taken:
        return Says(
            "True",
            Reason.NAME_TAKEN,
            f"{', '.join(outcome.taken)} exists already and isn't this resource's: it is left alone. "
            "Delete or rename it, or give this resource another name.",
        )
    if outcome.refused is not None:
        return Says(
            "True", Reason.APPLY_REFUSED, f"The API server refuses what the spec asks for: {outcome.refused}"
        )
    if pods.failures:
        reason, message = pods.failures[0]
        return Says("True", reason, message)
    return Says("False", Reason.UP_TO_DATE, "Nothing is in the way.")


def _reconciling(server: Server, pods: _Pods, stalled: Says, outcome: Outcome) -> Says:
    if server.spec.suspend:
        return Says("False", Reason.SUSPENDED, "spec.suspend is true: the children are left as they are.")
    if stalled.status == "True":
        return Says("False", stalled.reason, "See the condition Stalled.")
    if outcome.waiting:
        return Says("True", Reason.DEPLOYING, f"Waiting until {', '.join(outcome.waiting)} is gone.")
    if not pods.seen:
        return Says("True", Reason.DEPLOYING, "The children are being created.")
    if not pods.complete:
        return Says(
            "True", Reason.ROLLOUT_IN_PROGRESS, "Not all pods run the current spec and are ready yet."
        )
    return Says("False", Reason.UP_TO_DATE, "All children are as the spec says.")


def _ready(server: Server, available: Says, stalled: Says) -> Says:
    if stalled.status == "True" and stalled.reason in NOT_APPLIED:
        return stalled._replace(status="False")
    if server.spec.suspend:
        return Says(
            available.status,
            Reason.SUSPENDED,
            f"Suspended: changes wait. The pods meanwhile: {available.message}",
        )
    return available


def _conditions(wanted: dict[str, Says], generation: int, old: Manifest, now: str) -> list[dict[str, Any]]:
    before = {condition["type"]: condition for condition in old.get("conditions") or []}
    return [
        {
            "type": kind,
            "status": says.status,
            "observedGeneration": generation,
            "lastTransitionTime": before[kind]["lastTransitionTime"]
            if kind in before and before[kind]["status"] == says.status
            else now,
            "reason": str(says.reason),
            "message": _cut(says.message),
        }
        for kind, says in wanted.items()
    ]


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
