"""A resource's own Qdrant that grows and loses peers: on a real API server with its controllers.

There is no node, so the test reports what a kubelet would: which pods are ready, and how a Job's pod ended.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.operator_process import Operator
from tests.support.cluster import runs
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.operators import operators
from tests.support.cluster.runs import active, patch_status

pytestmark = pytest.mark.cluster
STORE = "statefulset/docs-qdrant"


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One for all tests here: they keep to their namespaces."""
    with operators(cluster, tmp_path_factory.mktemp("operator")) as start:
        yield start(FLAME_OPERATOR_REFERENCE_POLL_SECONDS="1")


def resource(namespace: str, replicas: int, **spec: Any) -> Json:  # noqa: ANN401 - JSON
    return server(
        "docs", namespace, vectorStore={"type": "Managed", "managed": {"replicas": replicas}}, **spec
    )


def report(cluster: Cluster, namespace: str, number: int, *, ready: bool = True) -> None:
    """Pod `number` of Qdrant is ready, or is no longer."""
    name = f"docs-qdrant-{number}"

    def is_there() -> bool:
        found = cluster.get("pod", name, namespace)
        return found is not None and not found["metadata"].get("deletionTimestamp")

    cluster.wait_until(name, is_there)
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    patch_status(cluster, f"pod/{name}", namespace, {"phase": "Running", "conditions": [condition]})


def replace_first_pod(cluster: Cluster, namespace: str) -> None:
    """What a kubelet does when the controller asks for it."""
    pod = "docs-qdrant-0"
    cluster.wait_until("a first pod", lambda: cluster.get("pod", pod, namespace) is not None)
    before = cluster.found("pod", pod, namespace)["metadata"]["uid"]
    cluster.kubectl("delete", "pod", pod, "-n", namespace, "--grace-period=0", "--force")

    def is_another() -> bool:
        found = cluster.get("pod", pod, namespace)
        return found is not None and found["metadata"]["uid"] != before

    cluster.wait_until("another first pod", is_another)
    report(cluster, namespace, 0)


def replicas(cluster: Cluster, namespace: str) -> int:
    found: int = cluster.found("statefulset", "docs-qdrant", namespace)["spec"]["replicas"]
    return found


def is_current(cluster: Cluster, namespace: str) -> bool:
    found = cluster.found("statefulset", "docs-qdrant", namespace)
    status = found["status"]
    return bool(
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("currentRevision") == status.get("updateRevision")
        and status.get("readyReplicas") == found["spec"]["replicas"]
    )


def end(cluster: Cluster, namespace: str, result: Json) -> str:
    """The running Job ends well, with a result; returns the name of its last container."""
    name, container = runs.end(cluster, namespace, result)
    cluster.wait_until(
        "its end", lambda: name not in {one["metadata"]["name"] for one in active(cluster, namespace)}
    )
    return container


def published(copies: int) -> Json:
    told = {"step": "publish", "collection": "flame-docs__1", "documents": 2, "chunks": 9}
    return {**told, "peers": copies, "copies": copies}


def store(cluster: Cluster, namespace: str) -> Json:
    found: Json = cluster.found("fmcp", "docs", namespace).get("status", {}).get("vectorStore", {})
    return found


def message(cluster: Cluster, namespace: str, kind: str) -> str:
    conditions = cluster.found("fmcp", "docs", namespace)["status"]["conditions"]
    return next(str(one["message"]) for one in conditions if one["type"] == kind)


def loaded(cluster: Cluster, namespace: str) -> None:
    cluster.apply(resource(namespace, 1))
    report(cluster, namespace, 0)
    assert end(cluster, namespace, published(1)) == "publish"
    cluster.wait_until("the first pod to count", lambda: is_current(cluster, namespace))


@pytest.mark.usefixtures("operator")
def test_from_one_to_three_and_a_peer_that_comes_back(cluster: Cluster, namespace: str) -> None:
    loaded(cluster, namespace)
    first = cluster.found("pod", "docs-qdrant-0", namespace)["metadata"]["uid"]
    cluster.apply(resource(namespace, 3))
    for number in (1, 2):
        assert not active(cluster, namespace)
        report(cluster, namespace, number)
    assert end(cluster, namespace, published(3)) == "publish"
    cluster.wait_until("three copies", lambda: store(cluster, namespace).get("copies") == 3)
    assert cluster.found("pod", "docs-qdrant-0", namespace)["metadata"]["uid"] == first
    report(cluster, namespace, 1, ready=False)
    said = "2 of 3 Qdrant pods are ready."
    cluster.wait_until("the loss", lambda: store(cluster, namespace).get("progress") == said)
    assert message(cluster, namespace, "Reconciling") == said
    report(cluster, namespace, 1)
    assert end(cluster, namespace, {"step": "replicate", "peers": 3, "copies": 3}) == "replicate"
    cluster.wait_until("the copies", lambda: store(cluster, namespace).get("phase") == "Succeeded")
    assert store(cluster, namespace)["message"] == "3 copies on 3 peers."


@pytest.mark.usefixtures("operator")
def test_one_of_an_earlier_operator_is_restarted_before_peers_join(cluster: Cluster, namespace: str) -> None:
    loaded(cluster, namespace)
    cluster.apply(resource(namespace, 1, suspend=True))
    cluster.wait_for_condition("docs", namespace, "Reconciling", ("False", "Suspended"))
    env = cluster.found("statefulset", "docs-qdrant", namespace)["spec"]["template"]["spec"]["containers"][0][
        "env"
    ]
    mode = next(index for index, one in enumerate(env) if one["name"] == "QDRANT__CLUSTER__ENABLED")
    without = json.dumps([{"op": "remove", "path": f"/spec/template/spec/containers/0/env/{mode}"}])
    cluster.kubectl("patch", STORE, "-n", namespace, "--type=json", "-p", without)
    replace_first_pod(cluster, namespace)
    cluster.wait_until("it to run without cluster mode", lambda: is_current(cluster, namespace))
    cluster.apply(resource(namespace, 3))
    cluster.wait_for_condition("docs", namespace, "Reconciling", ("True", "RolloutInProgress"))
    cluster.wait_until("the template", lambda: not is_current(cluster, namespace))
    assert replicas(cluster, namespace) == 1
    replace_first_pod(cluster, namespace)
    cluster.wait_until("the other peers", lambda: replicas(cluster, namespace) == 3)
