"""Pods, claims and Events in the shapes in which Kubernetes reports them."""
# ruff: noqa: ANN401 - JSON

from typing import Any

from flame_operator.resource.kinds import Manifest

FIRST, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"


def pod(
    *containers: Manifest,
    name: str = "docs-6d4-x8k2p",
    created: str = FIRST,
    phase: str = "Pending",
    init: tuple[Manifest, ...] = (),
    conditions: tuple[Manifest, ...] = (),
    **metadata: Any,
) -> Manifest:
    """A pod as a list says of it."""
    found = {"name": name, "namespace": "team", "uid": f"uid-of-{name}", "creationTimestamp": created}
    status = {"phase": phase, "conditions": list(conditions), "containerStatuses": list(containers)}
    if init:
        status["initContainerStatuses"] = list(init)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": found | metadata, "status": status}


def waiting(reason: str, message: str = "", **fields: Any) -> Manifest:
    """A container that hasn't started."""
    state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
    return {"name": "server", "image": "flame:1", "ready": False, "restartCount": 0, "state": state} | fields


def crashed(
    code: int, words: str = "", *, restarts: int = 1, reason: str = "Error", **fields: Any
) -> Manifest:
    """A container that the kubelet will start again after a while."""
    ended: Manifest = {"exitCode": code, "reason": reason, "finishedAt": FIRST}
    if words:
        ended["message"] = words
    back_off = {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container=server"}
    return {
        "name": "server", "image": "flame:1", "ready": False, "restartCount": restarts,
        "state": {"waiting": back_off}, "lastState": {"terminated": ended},
    } | fields  # fmt: skip


def runs(name: str = "server", *, ready: bool = False) -> Manifest:
    """A container that runs."""
    return {"name": name, "image": "flame:1", "ready": ready, "restartCount": 0, "state": {"running": {}}}


def ended(name: str, code: int = 0, message: str = "", *, at: str = FIRST) -> Manifest:
    """A container that has ended and won't be started again."""
    state = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "finishedAt": at}
    return {
        "name": name,
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {**state, "message": message}},
    }


def no_node(message: str) -> Manifest:
    """What the scheduler says in a pod's status."""
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


READY: Manifest = {"type": "Ready", "status": "True"}
SCHEDULED: Manifest = {"type": "PodScheduled", "status": "True"}


def event(reason: str, message: str, time: str = FIRST) -> Manifest:
    """An Event as `slim_event` leaves it."""
    return {"reason": reason, "message": message, "time": time}


def claim(phase: str = "Pending", storage_class: str | None = "fast", size: str = "10Gi") -> Manifest:
    """A volume claim."""
    spec: Manifest = {"resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    metadata = {"name": "storage-docs-qdrant-0", "namespace": "team", "uid": "uid-of-claim"}
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec,
        "status": {"phase": phase},
    }  # fmt: skip
