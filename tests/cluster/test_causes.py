"""What only Kubernetes' controllers know reaches the status: refused pods, volumes that don't come.

There is no node, no scheduler and no storage: the controllers' Events tell.
"""

import json

import pytest

from tests.support.cluster.cluster import Cluster, Json, server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120), pytest.mark.usefixtures("lasting_operator")]

LOADS: Json = {
    "vectorStore": {"type": "External", "external": {"url": "http://qdrant:6333"}},
    "ingestion": {"sources": [{"name": "flame", "bundled": {}}]},
}
NO_CLASS = 'storageclass.storage.k8s.io "no-such-class" not found'


def message(cluster: Cluster, namespace: str, kind: str) -> str:
    found: str = next(
        one["message"]
        for one in cluster.found("fmcp", "docs", namespace)["status"]["conditions"]
        if one["type"] == kind
    )
    return found


def limit_memory(cluster: Cluster, namespace: str) -> None:
    """Containers may have 600Mi, as those of the server do; Qdrant and runs ask for more."""
    limits = {"limits": [{"type": "Container", "max": {"memory": "600Mi"}}]}
    metadata = {"name": "small", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": limits})


def test_a_limit_that_keeps_the_pod_of_a_run_away_is_told(cluster: Cluster, namespace: str) -> None:
    limit_memory(cluster, namespace)
    cluster.apply(server("docs", namespace, **LOADS))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "PodsRejected"))
    told = message(cluster, namespace, "Stalled")
    assert told.startswith(
        "A run: The cluster refuses to create pods: maximum memory usage per Container is 600Mi"
    )
    assert "Change spec.ingestion.resources" in told
    progress = cluster.found("fmcp", "docs", namespace)["status"]["ingestion"]["progress"]
    assert progress in told


def test_a_limit_that_keeps_qdrant_away_is_told(cluster: Cluster, namespace: str) -> None:
    limit_memory(cluster, namespace)
    cluster.apply(server("docs", namespace, vectorStore={"type": "Managed"}))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "PodsRejected"))
    told = message(cluster, namespace, "Stalled")
    assert told.startswith(
        "Qdrant: The cluster refuses to create pods: maximum memory usage per Container is 600Mi"
    )
    assert "Change spec.vectorStore.managed.resources" in told
    assert "Qdrant isn't ready yet. The cluster refuses" in message(cluster, namespace, "IndexReady")


def test_a_storage_class_that_does_not_exist_is_told(cluster: Cluster, namespace: str) -> None:
    storage = {"storageClassName": "no-such-class"}
    managed = {"type": "Managed", "managed": {"storage": storage}}
    cluster.apply(server("docs", namespace, vectorStore=managed))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "PodsNotReady"))
    assert NO_CLASS in message(cluster, namespace, "Stalled")
    assert message(cluster, namespace, "Reconciling").startswith("Stalled: Qdrant: The volume claim")


def test_a_run_has_succeeded_once_its_last_step_has(cluster: Cluster, namespace: str) -> None:
    """Another container of the pod never ends, so neither does the Job."""
    cluster.apply(server("docs", namespace, **LOADS))
    cluster.wait_until("the run's pod", lambda: bool(pods_of_runs(cluster, namespace)))
    (pod,) = pods_of_runs(cluster, namespace)
    result = {"step": "publish", "collection": "c1", "documents": 2, "chunks": 9}
    ended = {"exitCode": 0, "message": json.dumps(result)}
    image = {"image": "x", "imageID": "x", "ready": False, "restartCount": 0}
    containers = [
        {**image, "name": "mesh-proxy", "state": {"running": {}}},
        {**image, "name": "publish", "state": {"terminated": ended}},
    ]
    patch = json.dumps({"status": {"phase": "Running", "containerStatuses": containers}})
    name = f"pod/{pod['metadata']['name']}"
    cluster.kubectl("patch", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)

    def run() -> Json:
        found: Json = cluster.found("fmcp", "docs", namespace)["status"]
        return found

    cluster.wait_until("the run's end", lambda: run()["ingestion"]["phase"] == "Succeeded")
    assert run()["index"]["collection"] == "c1"
    assert not cluster.items("jobs", namespace)[0]["status"].get("conditions")


def pods_of_runs(cluster: Cluster, namespace: str) -> list[Json]:
    return [
        pod
        for pod in cluster.items("pods", namespace)
        if "batch.kubernetes.io/job-name" in pod["metadata"]["labels"]
    ]
