"""Explains to users why pods aren't ready. Pure."""

from collections.abc import Iterable
from typing import Any

from flame_operator.formats.shape import LARGEST, at, mapping, mappings
from flame_operator.formats.text import plain
from flame_operator.resource.kinds import Manifest

MAX_MESSAGE = 600
"""How many characters of a pod's messages are passed on."""
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
_CANT_START = (*_NO_IMAGE, "CreateContainerConfigError", "CreateContainerError")


def why_not_ready(pods: Iterable[Manifest]) -> str:
    """One sentence that tells why pods aren't ready, or "" when the pods don't tell.

    The sentence stays the same as long as the cause does. It has no counts, times or back-offs: a status that
    changed with them would be written again and again.
    """
    for pod in pods:
        for container in mappings(at(pod, "status", "containerStatuses")):
            if found := _why_container_fails(container):
                return found
        if (unschedulable := _unschedulable(pod)) is not None:
            return f"The pod can't be scheduled: {plain(unschedulable.get('message'), MAX_MESSAGE)}"
    return ""


def waits_for_others(pods: Iterable[Manifest]) -> bool:
    """Whether any of the pods can't start by itself: it has no node, no image, or nothing to mount."""
    return any(
        _unschedulable(pod) is not None
        or any(
            at(container, "state", "waiting", "reason") in _CANT_START
            for name in ("initContainerStatuses", "containerStatuses")
            for container in mappings(at(pod, "status", name))
        )
        for pod in pods
    )


def _unschedulable(pod: Manifest) -> dict[str, Any] | None:
    """The condition of a pod that says that no node has room for it, or None."""
    return next(
        (
            condition
            for condition in mappings(at(pod, "status", "conditions"))
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable"
        ),
        None,
    )


def _why_container_fails(container: dict[str, Any]) -> str:
    waiting, image = mapping(at(container, "state", "waiting")), plain(container.get("image"), MAX_MESSAGE)
    ended = mapping(at(container, "state", "terminated")) or mapping(at(container, "lastState", "terminated"))
    reason = waiting.get("reason")
    if reason in _NO_IMAGE:
        return f"The image {image} can't be pulled: check its name, spec.imagePullSecrets and the registry."
    if reason in _CANT_START:
        message = plain(waiting.get("message"), MAX_MESSAGE) or "no message"
        return f"The container can't be created: {message}"
    if ended.get("reason") == "OOMKilled":
        return "The container ran out of memory: raise spec.resources.limits.memory."
    if ended:
        return f"The container ended with exit code {exit_code(ended)}: see its log."
    return ""


def exit_code(ended: dict[str, Any]) -> int | None:
    """The exit code in the state of a container that has ended; None when there is none."""
    code = ended.get("exitCode")
    return code if type(code) is int and abs(code) <= LARGEST else None
