"""Reads the state of pods from the Deployment or the StatefulSet that makes them. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flame_operator.formats.shape import at, mapping, mappings, number, text
from flame_operator.resource.annotations import REFERENCES_DIGEST, TOKEN_GONE
from flame_operator.resource.kinds import QDRANT, Manifest
from flame_operator.resource.server import DEFAULT_REPLICAS, Server
from flame_operator.workloads.causes import SERVER_PODS, refusal
from flame_operator.workloads.words import stable

LATEST = 2**53
"""The largest generation of an object that counts as one."""
_COMPLETE = "NewReplicaSetAvailable"
_FAILED = "ProgressDeadlineExceeded"


@dataclass(frozen=True)
class PodCounts:
    """How many pods a Deployment or StatefulSet has and wants, and what keeps it from having them."""

    wanted: int = DEFAULT_REPLICAS
    total: int = 0
    ready: int = 0
    available: int = 0
    seen: bool = False
    """Whether it has reported at all."""
    current: bool = False
    """Whether the counts are about the newest spec."""
    updated: int = 0
    """How many pods run that spec."""
    complete: bool = False
    """Whether all pods run the current spec and are available."""
    rejected: str | None = None
    """A message for the user when the cluster refuses to create pods."""
    stuck: str | None = None
    """A message for the user when a rollout has made no progress within its deadline, by default 10 min."""


def pod_counts(deployment: Manifest | None) -> PodCounts:
    """The counts of the pods of a live Deployment or StatefulSet; of none when there is no such object."""
    if deployment is None:
        return PodCounts()
    status = mapping(deployment.get("status"))
    wanted = number(at(deployment, "spec", "replicas"))
    wanted = 1 if wanted is None else wanted
    total, available = _count(status, "replicas"), _count(status, "availableReplicas")
    updated = _count(status, "updatedReplicas")
    current = _is_current(deployment)
    failures = dict(_failures(mappings(status.get("conditions")))) if current else {}
    return PodCounts(
        wanted=wanted,
        total=total,
        ready=_count(status, "readyReplicas"),
        available=available,
        seen="observedGeneration" in status,
        current=current,
        updated=updated,
        complete=current and updated == total == available == wanted,
        rejected=failures.get("ReplicaFailure"),
        stuck=failures.get("Progressing"),
    )


def _count(status: dict[str, Any], name: str) -> int:
    return number(status.get(name)) or 0


def _is_current(deployment: Manifest) -> bool:
    """Whether the status of a Deployment is about its newest spec."""
    seen = number(at(deployment, "status", "observedGeneration"), LATEST) or 0
    return seen >= (number(at(deployment, "metadata", "generation"), LATEST) or 0)


def _failures(conditions: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for condition in conditions:
        message = text(condition.get("message")) or text(condition.get("reason")) or "no message"
        match condition.get("type"), condition.get("status"), condition.get("reason"):
            case ("ReplicaFailure", "True", _) | ("Progressing", "False", "ReplicaSetCreateError"):
                yield "ReplicaFailure", refusal(message, SERVER_PODS).message
            case "Progressing", "False", "ProgressDeadlineExceeded":
                yield "Progressing", f"The rollout makes no progress: {stable(message)}"


def is_rolling(deployment: Manifest) -> bool:
    """Whether a rollout is under way: it has neither completed nor failed.

    Pods that fail after a completed rollout don't count.
    """
    if not _is_current(deployment):
        return True
    reasons = {
        text(condition.get("reason"))
        for condition in mappings(at(deployment, "status", "conditions"))
        if condition.get("type") == "Progressing"
    }
    return not reasons & {_COMPLETE, _FAILED}


def references_digest(deployment: Manifest) -> str:
    """The digest of the Secrets and ConfigMaps that the Deployment's pods were made with, or ""."""
    found = text(at(deployment, "spec", "template", "metadata", "annotations", REFERENCES_DIGEST))
    return "" if found == TOKEN_GONE else found


def reads_secret(deployment: Manifest | None, name: str, key: str | None) -> bool:
    """Whether the Deployment's pods mount this key of this Secret."""
    volumes = mappings(at(deployment, "spec", "template", "spec", "volumes"))
    sources = (source for volume in volumes for source in mappings(at(volume, "projected", "sources")))
    return any(
        at(source, "secret", "name") == name and item.get("key") == key
        for source in sources
        for item in mappings(at(source, "secret", "items"))
    )


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
    volumes = mappings(at(deployment, "spec", "template", "spec", "volumes"))
    sources = (source for volume in volumes for source in mappings(at(volume, "projected", "sources")))
    reads = any(at(source, "secret", "name") == server.key.name + QDRANT for source in sources)
    return reads or not pod_counts(deployment).complete
