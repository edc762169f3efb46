"""Reads the state of a server's pods from its Deployment. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flame_operator.resource.annotations import REFERENCES_DIGEST
from flame_operator.resource.kinds import QDRANT, Manifest
from flame_operator.resource.server import DEFAULT_REPLICAS, Server

ADVICE = "Check the pods: perhaps an image can't be pulled, a container fails, or the cluster has no room."


_COMPLETE = "NewReplicaSetAvailable"
_FAILED = "ProgressDeadlineExceeded"


@dataclass(frozen=True)
class PodCounts:
    """How many pods a Deployment has and wants, and what keeps it from having them."""

    wanted: int = DEFAULT_REPLICAS
    total: int = 0
    ready: int = 0
    available: int = 0
    seen: bool = False
    """Whether the Deployment has reported at all."""
    complete: bool = False
    """Whether all pods run the current spec and are available."""
    rejected: str | None = None
    """A message for the user when the cluster refuses to create pods."""
    stuck: str | None = None
    """A message for the user when a rollout has made no progress within its deadline, by default 10 min."""


def pod_counts(deployment: Manifest | None) -> PodCounts:
    """The counts of a live Deployment's pods; of none when there is no Deployment."""
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
    """Whether pods are wanted and none is available."""
    return pods.seen and pods.wanted > 0 and pods.available == 0


def is_rolling(deployment: Manifest) -> bool:
    """Whether a rollout is under way: it has neither completed nor failed.

    Pods that fail after a completed rollout don't count.
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
    """The digest of the Secrets and ConfigMaps that the Deployment's pods were made with."""
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    found: str = annotations.get(REFERENCES_DIGEST, "")
    return found


def still_asks_qdrant(server: Server, deployment: Manifest | None, store: Manifest | None) -> bool:
    """Whether pods may still search in a managed Qdrant that the spec no longer has.

    They do until the last of the old pods has been replaced, because the pods of the new spec may never work.

    Args:
        server: A server without a managed Qdrant in its spec.
        deployment: Its live Deployment.
        store: The StatefulSet of its former Qdrant.
    """
    if store is None or deployment is None:
        return False
    pod = deployment["spec"]["template"]["spec"]
    sources = (
        source for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", ())
    )
    reads = any(source.get("secret", {}).get("name") == server.key.name + QDRANT for source in sources)
    return reads or not pod_counts(deployment).complete
