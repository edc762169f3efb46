"""What a Deployment says about a server's pods. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flame_operator.resource.annotations import REFERENCES_DIGEST
from flame_operator.resource.kinds import QDRANT, Manifest
from flame_operator.resource.server import DEFAULT_REPLICAS, Server

ADVICE = "Look at the pods: an image that can't be pulled, a container that fails, or no room in the cluster."


_COMPLETE = "NewReplicaSetAvailable"
_FAILED = "ProgressDeadlineExceeded"


@dataclass(frozen=True)
class PodCounts:
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


def pod_counts(deployment: Manifest | None) -> PodCounts:
    """The pods of a live Deployment, or of none."""
    if deployment is None:
        return PodCounts()
    status: dict[str, Any] = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    total, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    failures = dict(_failures(status.get("conditions") or [])) if current else {}
    return PodCounts(
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


def no_pod_serves(pods: PodCounts) -> bool:
    """Whether pods are wanted and none of them serves."""
    return pods.seen and pods.wanted > 0 and pods.available == 0


def is_rolling(deployment: Manifest) -> bool:
    """Whether a Deployment's pods are being replaced: neither all of them are, nor has that failed.

    Pods that fail later, when all had been replaced, don't count.
    """
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return True
    reasons = {
        condition.get("reason")
        for condition in status.get("conditions") or []
        if condition.get("type") == "Progressing"
    }
    return not reasons & {_COMPLETE, _FAILED}


def references_digest(deployment: Manifest) -> str:
    """What the pods' Secrets and ConfigMaps were when they were made."""
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    found: str = annotations.get(REFERENCES_DIGEST, "")
    return found


def still_asks_qdrant(server: Server, deployment: Manifest | None, store: Manifest | None) -> bool:
    """Whether pods may still search in the Qdrant server of a resource whose spec has none.

    They do until the last of them has been replaced: those of the new spec may come to nothing.
    """
    if store is None or deployment is None:
        return False
    pod = deployment["spec"]["template"]["spec"]
    sources = (
        source for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", ())
    )
    reads = any(source.get("secret", {}).get("name") == server.key.name + QDRANT for source in sources)
    return reads or not pod_counts(deployment).complete
