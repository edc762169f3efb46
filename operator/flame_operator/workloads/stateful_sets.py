"""Reads the state of a managed Qdrant from its StatefulSet. Pure."""

from flame_operator.formats.shape import at, mapping, mappings, number
from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.deployments import LATEST

CLUSTER_MODE = "QDRANT__CLUSTER__ENABLED"
"""The variable of Qdrant's container that switches cluster mode on."""


def replicas_now(wanted: int, store: Manifest | None, *, complete: bool = False) -> int:
    """How many pods the StatefulSet should have now, on its way to the wanted number.

    Earlier operators ran a single Qdrant without cluster mode. No peer can join that one, and a StatefulSet
    replaces its first pod last, only when all others are ready. So the first pod is replaced alone.

    If the others are there already, they wait for the first pod and it waits for them. It is the same when
    the first image was wrong. As long as they have never been a cluster, they are taken away until the first
    pod is replaced.

    Args:
        wanted: The number of pods that the spec wants.
        store: The live StatefulSet; None when there is none.
        complete: Whether all pods have been peers of one cluster before.
    """
    if store is None:
        return wanted
    is_replaced = _is_current(store) and at(store, "status", "currentRevision") == at(
        store, "status", "updateRevision"
    )
    if number(at(store, "spec", "replicas")) == 1:
        return wanted if is_replaced and _in_cluster_mode(store) else 1
    is_stuck = _is_current(store) and not is_replaced and ready_peers(store) <= 1
    return 1 if is_stuck and not complete else wanted


def claim_metadata(store: Manifest | None) -> dict[str, Manifest] | None:
    """The labels and annotations of the StatefulSet's volume template; None when there is no StatefulSet."""
    if store is None:
        return None
    templates = mappings(at(store, "spec", "volumeClaimTemplates"))
    found = mapping(templates[0].get("metadata")) if templates else {}
    return {field: mapping(found.get(field)) for field in ("labels", "annotations")}


def ready_peers(store: Manifest | None) -> int:
    """How many of Qdrant's pods are ready: a peer is when it has joined and knows all that the others do."""
    return number(at(store, "status", "readyReplicas")) or 0 if store is not None else 0


def is_whole(wanted: int, store: Manifest | None) -> bool:
    """Whether Qdrant has all the pods that the spec wants, and all of them are ready."""
    if store is None or not _is_current(store):
        return False
    return number(at(store, "spec", "replicas")) == wanted and ready_peers(store) >= wanted


def _is_current(store: Manifest) -> bool:
    seen = number(at(store, "status", "observedGeneration"), LATEST) or 0
    return seen >= (number(at(store, "metadata", "generation"), LATEST) or 0)


def _in_cluster_mode(store: Manifest) -> bool:
    containers = mappings(at(store, "spec", "template", "spec", "containers"))
    return any(
        variable.get("name") == CLUSTER_MODE
        for container in containers
        for variable in mappings(container.get("env"))
    )
