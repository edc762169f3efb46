"""Why pods aren't ready, in words for the user. Pure."""

from collections.abc import Iterable
from typing import Any

from flame_operator.resource.kinds import Manifest


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
