"""Explains to users why pods don't come or don't get ready, whatever child makes them. Pure.

Pods, claims and Events are data that tenants may have written: what is read of them is bounded, and anything
may be in them. A cause is told in the same words as long as it is the same: a status with counts, times or
back-offs would be written again and again.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from flame_operator.formats.quantity import is_smaller
from flame_operator.formats.shape import LARGEST, at, mapping, mappings, number, text
from flame_operator.formats.text import plain
from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.words import MAX_MESSAGE, MAX_NAME, last_words, of_scheduler, stable

_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
_CANT_START = (*_NO_IMAGE, "CreateContainerConfigError", "CreateContainerError")
_MANY_RESTARTS = 3
"""After how many restarts of a container another one is no longer expected to help."""
# What a registry, a network or a webhook says that will perhaps answer in a moment.
_WORLD = (
    "timeout", "timed out", "connection refused", "connection reset", "no such host", "temporary failure",
    "too many requests", "toomanyrequests", "service unavailable", "bad gateway", "unexpected eof",
    "deadline exceeded",
)  # fmt: skip
_REFUSED = ("forbidden", "denied", "is invalid", "exceeded quota")
_NOT_CREATED = ("FailedCreate",)
_NOT_STARTED = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")
_NOT_BOUND = ("ProvisioningFailed", "FailedBinding", "FailedProvisioning")


class Cause(NamedTuple):
    """Why something isn't as the spec says."""

    message: str
    """What is wrong and what to do: sentences for a condition."""
    needs_user: bool = False
    """Whether nothing will change until somebody acts."""
    refused: bool = False
    """Whether the cluster refuses to create pods."""


class Part(NamedTuple):
    """The pods of one child, and the fields of the spec that decide about them."""

    containers: tuple[str, ...]
    """The names of the operator's own containers; others have been added by a mesh or a policy."""
    resources: str
    volume: str
    """What to do about a volume that doesn't come."""
    grouped: bool = False
    """Whether pods with other beginnings of their names are of an earlier spec: those of a Deployment."""


SERVER_PODS = Part(("server",), "spec.resources", "", grouped=True)
QDRANT_PODS = Part(
    ("qdrant",),
    "spec.vectorStore.managed.resources",
    "Make that StorageClass or such a volume; or, as the class of a volume can't change, delete this "
    "resource and its claims, and apply it with another spec.vectorStore.managed.storage.",
)
RUN_PODS = Part(
    ("fetch", "build", "publish", "rollback", "snapshot"),
    "spec.ingestion.resources",
    "Look at the claim, or name another one in spec.ingestion.sources.",
)


def newest_first(pods: Iterable[Manifest]) -> Sequence[Manifest]:
    """The pods, those first that were created last."""
    return sorted(
        pods,
        key=lambda pod: (text(pod["metadata"].get("creationTimestamp")), text(pod["metadata"].get("name"))),
        reverse=True,
    )


def unready(pods: Iterable[Manifest], part: Part) -> Sequence[Manifest]:
    """The pods that aren't ready though they should be, the newest first; none of an earlier spec."""
    found = newest_first(pods)
    if part.grouped:
        found = [pod for pod in found if _group(pod) == _group(found[0])]
    return [pod for pod in found if not (pod["metadata"].get("deletionTimestamp") or _is_ready(pod))]


def _group(pod: Manifest) -> str:
    return text(pod["metadata"].get("name")).rpartition("-")[0]


def _is_ready(pod: Manifest) -> bool:
    conditions = mappings(at(pod, "status", "conditions"))
    is_ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return is_ready or at(pod, "status", "phase") == "Succeeded"


def why_not_ready(pods: Iterable[Manifest], part: Part) -> Cause | None:
    """Why pods aren't ready, as far as they tell themselves."""
    for pod in unready(pods, part):
        for container in statuses(pod):
            if found := _why_container_fails(container, part):
                return found
        if (condition := _unschedulable(pod)) is not None:
            return Cause(f"The pod can't be scheduled: {of_scheduler(condition.get('message'))}")
    return None


def statuses(pod: Manifest) -> list[dict[str, Any]]:
    """The states of a pod's containers, in the order in which they start."""
    return [
        *mappings(at(pod, "status", "initContainerStatuses")),
        *mappings(at(pod, "status", "containerStatuses")),
    ]


def waits_for_others(pods: Iterable[Manifest]) -> bool:
    """Whether any of the pods can't start by itself: it has no node, no image, or nothing to mount."""
    return any(
        _unschedulable(pod) is not None
        or any(at(container, "state", "waiting", "reason") in _CANT_START for container in statuses(pod))
        for pod in pods
    )


def waits_for_volume(pod: Manifest) -> bool:
    """Whether a pod may have no node because it has no volume."""
    if not is_pending(pod) or statuses(pod):
        return False
    conditions = mappings(at(pod, "status", "conditions"))
    scheduled = next((one for one in conditions if one.get("type") == "PodScheduled"), None)
    return scheduled is None or "persistentvolumeclaim" in text(scheduled.get("message")).lower()


def is_pending(pod: Manifest) -> bool:
    """Whether a pod has no container that has ever run."""
    return at(pod, "status", "phase") == "Pending" and not any(
        at(container, "state", state) for container in statuses(pod) for state in ("running", "terminated")
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


def _why_container_fails(container: dict[str, Any], part: Part) -> Cause | None:
    if container.get("ready") is True or at(container, "state", "terminated", "exitCode") == 0:
        return None  # an init container, or a step of a run: the next one starts
    waiting = mapping(at(container, "state", "waiting"))
    ended = mapping(at(container, "state", "terminated")) or mapping(at(container, "lastState", "terminated"))
    reason = waiting.get("reason")
    if reason in _NO_IMAGE:
        return _no_image(container, text(waiting.get("message")))
    if reason in _CANT_START:
        message = stable(waiting.get("message")) or "no message"
        return Cause(f"The container can't be created: {message}", needs_user=True)
    if not ended:
        return None
    again = (number(container.get("restartCount")) or 0) >= _MANY_RESTARTS
    name = plain(container.get("name"), MAX_NAME)
    if ended.get("reason") == "OOMKilled":
        limit = (
            f"{part.resources}.limits.memory" if name in part.containers else "its limit, where it is added"
        )
        return Cause(f"The container {name} ran out of memory: raise {limit}.", needs_user=again)
    said = last_words(ended.get("message"))
    told = f'"{said}"' if said else "see its log"
    return Cause(f"The container {name} ended with exit code {exit_code(ended)}: {told}.", needs_user=again)


def _no_image(container: dict[str, Any], message: str) -> Cause:
    image = plain(container.get("image"), MAX_MESSAGE)
    if _is_the_worlds(message):
        return Cause(f"The image {image} can't be pulled now: its registry doesn't answer as it should.")
    advice = "check its name, spec.imagePullSecrets and the registry"
    return Cause(f"The image {image} can't be pulled: {advice}.", needs_user=True)


def _is_the_worlds(message: str) -> bool:
    said = message[: 4 * MAX_MESSAGE].lower()
    return any(word in said for word in _WORLD)


def exit_code(ended: dict[str, Any]) -> int | None:
    """The exit code in the state of a container that has ended; None when there is none."""
    code = ended.get("exitCode")
    return code if type(code) is int and abs(code) <= LARGEST else None


def why_no_pod(events: Iterable[Manifest], part: Part) -> Cause | None:
    """Why a child makes no pods, from the Events about it."""
    message = _newest(events, _NOT_CREATED, over=("SuccessfulCreate",))
    if not message:
        return None
    return refusal(message, part)


def refusal(message: str, part: Part) -> Cause:
    """What the answer of the API server to those who make pods means for the user."""
    said = stable(message[: 4 * MAX_MESSAGE]).rstrip(".") or "no message"
    if _is_the_worlds(message) or not any(word in message for word in _REFUSED):
        return Cause(f"The cluster doesn't create pods: {said}.", refused=True)
    advice = f"Change {part.resources} so that it fits, or have the quota, the limits or the policy changed."
    return Cause(f"The cluster refuses to create pods: {said}. {advice}", needs_user=True, refused=True)


def why_no_start(events: Iterable[Manifest]) -> Cause | None:
    """Why the containers of a pod aren't started, from the Events about it."""
    message = _newest(events, _NOT_STARTED, over=("Pulling", "Pulled", "Created", "Started"))
    if not message:
        return None
    said = stable(message).rstrip(".")
    missing = "not found" in said or "non-existent" in said
    return Cause(f"The pod's containers can't start: {said}.", needs_user=missing)


def why_no_volume(name: str, claim: Manifest | None, events: Iterable[Manifest], part: Part) -> Cause | None:
    """Why a volume claim has no volume, from the claim and the Events about it; None when it has one."""
    name = plain(name, 253)
    if claim is None:
        return Cause(f"The volume claim {name} doesn't exist. {part.volume}".strip(), needs_user=True)
    phase = at(claim, "status", "phase")
    if phase == "Lost":
        return Cause(f"The volume of the claim {name} is gone. {part.volume}".strip(), needs_user=True)
    if phase != "Pending":
        return None
    told = _newest(events, _NOT_BOUND)
    storage_class = plain(at(claim, "spec", "storageClassName"), 253)
    if not told and not storage_class:
        told = "it has no StorageClass, and the cluster has no default one"
    if not told:
        return Cause(f"The volume claim {name} of StorageClass {storage_class} has no volume yet.")
    needs_user = "storage class" in told or "StorageClass" in told or "not found" in told
    advice = f" {part.volume}" if needs_user else ""
    return Cause(f"The volume claim {name} gets no volume: {stable(told).rstrip('.')}.{advice}", needs_user)


def why_small(name: str, claim: Manifest | None) -> Cause | None:
    """Why a volume is smaller than its claim; None when it isn't."""
    wanted = text(at(claim, "spec", "resources", "requests", "storage"))
    has = text(at(claim, "status", "capacity", "storage"))
    if not is_smaller(has, wanted):
        return None
    conditions = (one for one in mappings(at(claim, "status", "conditions")) if one.get("status") == "True")
    said = next((told for one in conditions if (told := stable(one.get("message")))), "")
    return Cause(f"The volume of the claim {name} grows from {has} to {wanted}. {said}".strip())


def _newest(events: Iterable[Manifest], reasons: tuple[str, ...], over: tuple[str, ...] = ()) -> str:
    """The message of the newest Event with one of the reasons; a mere timeout only if there is no other.

    Empty also when it is over: when an Event of what follows is newer.
    """
    events = list(events)
    found = [event for event in events if event.get("reason") in reasons and text(event.get("message"))]
    latest = max((text(event.get("time")) for event in found), default="")
    if any(event.get("reason") in over and text(event.get("time")) > latest for event in events):
        return ""
    newest = max(
        found,
        key=lambda event: ("timed out waiting" not in text(event.get("message")), text(event.get("time"))),
        default=None,
    )
    return text(newest.get("message"))[: 4 * MAX_MESSAGE] if newest else ""
