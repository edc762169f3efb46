"""What a Deployment says about a server's pods. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flame_operator.desired.naming import DEFAULT_REPLICAS
from flame_operator.model import Manifest

ADVICE = "Look at the pods: an image that can't be pulled, a container that fails, or no room in the cluster."


@dataclass(frozen=True)
class Pods:
    """Counts, and what keeps them from growing."""

    wanted: int = DEFAULT_REPLICAS
    total: int = 0
    ready: int = 0
    available: int = 0
    seen: bool = False
    """Whether the Deployment has reported at all."""
    complete: bool = False
    """Whether all pods run the current spec and are available."""
    rejected: str | None = None
    """The cluster's words when it refuses to create pods."""
    stuck: str | None = None
    """The cluster's words when a rollout has made no progress for ten minutes."""


def pods_of(deployment: Manifest | None) -> Pods:
    """The pods of a live Deployment, or of none."""
    if deployment is None:
        return Pods()
    status: dict[str, Any] = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    total, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    failures = dict(_failures(status.get("conditions") or [])) if current else {}
    return Pods(
        wanted=wanted,
        total=total,
        ready=status.get("readyReplicas", 0),
        available=available,
        seen="observedGeneration" in status,
        complete=current and status.get("updatedReplicas", 0) == total == available == wanted,
        rejected=failures.get("ReplicaFailure"),
        stuck=failures.get("Progressing"),
    )


def _failures(conditions: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for condition in conditions:
        message = condition.get("message") or condition.get("reason") or "no message"
        match condition.get("type"), condition.get("status"), condition.get("reason"):
            case "ReplicaFailure", "True", _:
                yield "ReplicaFailure", f"The cluster refuses to create pods: {message}"
            case "Progressing", "False", "ProgressDeadlineExceeded":
                yield "Progressing", f"The rollout makes no progress: {message} {ADVICE}"


def why_not_ready(pods: Iterable[Manifest]) -> str:
    """Why pods aren't ready, in one sentence that stays the same while the cause does; may be empty.

    Counts, times and back-offs are left out: a status that moved with them would be written for ever.
    """
    for pod in pods:
        status: dict[str, Any] = pod.get("status") or {}
        for container in status.get("containerStatuses") or []:
            if found := _container_trouble(container):
                return found
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
                return f"No node takes the pod: {condition.get('message', '')}"
    return ""


def _container_trouble(container: dict[str, Any]) -> str:
    state: dict[str, Any] = container.get("state") or {}
    waiting, image = state.get("waiting") or {}, container.get("image", "")
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    match waiting.get("reason"):
        case "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName":
            return (
                f"The image {image} can't be pulled: check its name, spec.imagePullSecrets and the registry."
            )
        case "CreateContainerConfigError" | "CreateContainerError":
            return f"The container can't be created: {waiting.get('message', 'no message')}"
    if ended.get("reason") == "OOMKilled":
        return "The container was killed for lack of memory: raise spec.resources.limits.memory."
    if ended:
        return f"The container ended with exit code {ended.get('exitCode')}: its log tells why."
    return ""
