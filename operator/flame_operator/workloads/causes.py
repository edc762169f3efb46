"""Explains to users why pods aren't ready. Pure."""

from collections.abc import Iterable
from typing import Any

from flame_operator.resource.kinds import Manifest


def why_not_ready(pods: Iterable[Manifest]) -> str:
    """One sentence that tells why pods aren't ready, or "" when the pods don't tell.

    The sentence stays the same as long as the cause does. It has no counts, times or back-offs: a status that
    changed with them would be written again and again.
    """
    for pod in pods:
        status: dict[str, Any] = pod.get("status") or {}
        for container in status.get("containerStatuses") or []:
            if found := _why_container_fails(container):
                return found
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
                return f"The pod can't be scheduled: {condition.get('message', '')}"
    return ""


def _why_container_fails(container: dict[str, Any]) -> str:
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
        return "The container ran out of memory: raise spec.resources.limits.memory."
    if ended:
        return f"The container ended with exit code {ended.get('exitCode')}: see its log."
    return ""
