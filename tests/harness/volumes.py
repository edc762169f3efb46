"""Volumes for claims, in a cluster that has nothing that makes them: folders of its only node."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import paths
from tests.harness.cluster import Cluster
from tests.harness.node import NAME

CLASS = "flame-mcp-local"
SIZE = "20Gi"


def provide(cluster: Cluster, count: int) -> list[str]:
    """Makes a default class and so many volumes in it; the names of those made, none where claims are served.

    They are `local` volumes, as Kubernetes gives those to the pods' group; with the cluster's state they go.
    """
    classes = json.loads(cluster.kubectl("get", "storageclasses", "-o", "json").stdout)["items"]
    if any(one["metadata"]["name"] != CLASS for one in classes):
        return []
    names = [f"flame-mcp-{uuid.uuid4().hex[:8]}" for _ in range(count)]
    objects = [_class(), *(_volume(name) for name in names)]
    cluster.kubectl(
        "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    )
    return names


@contextmanager
def provided(cluster: Cluster, count: int) -> Iterator[None]:
    """The same while the block runs."""
    names = provide(cluster, count)
    try:
        yield
    finally:
        if names:
            cluster.kubectl("delete", "persistentvolume", *names, "--wait=false", check=False)


def _class() -> dict[str, object]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def _volume(name: str) -> dict[str, object]:
    folder = paths.state() / "volumes" / name
    folder.mkdir(parents=True)
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }
