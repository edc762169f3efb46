"""A Qdrant of a resource's own, and the Jobs that load it: on a real API server with its controllers.

There is no node, so the test reports what a kubelet would: that Qdrant is ready, and how a Job's pod ended.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from flame_operator.resource.kinds import SERVER
from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.operators import operators
from tests.support.cluster.runs import active, end, patch_status

pytestmark = pytest.mark.cluster
MANAGED: Json = {"vectorStore": {"type": "Managed"}}
PUBLISHED = {"step": "publish", "collection": "flame-docs__1", "documents": 2, "chunks": 9}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One for all tests here: they keep to their namespaces."""
    with operators(cluster, tmp_path_factory.mktemp("operator")) as start:
        yield start(FLAME_OPERATOR_REFERENCE_POLL_SECONDS="1")


def store_is_ready(cluster: Cluster, namespace: str) -> None:
    cluster.wait_until("Qdrant's pod", lambda: cluster.get("pod", "docs-qdrant-0", namespace) is not None)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    patch_status(cluster, "pod/docs-qdrant-0", namespace, ready)


def jobs(cluster: Cluster, namespace: str) -> list[Json]:
    items = cluster.items("jobs", namespace)
    return sorted(items, key=lambda job: (job["metadata"]["creationTimestamp"], job["metadata"]["name"]))


def status(cluster: Cluster, namespace: str) -> Any:  # noqa: ANN401 - JSON
    return cluster.found("fmcp", "docs", namespace).get("status", {})


def loaded(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace, **MANAGED))
    store_is_ready(cluster, namespace)
    end(cluster, namespace, PUBLISHED)
    cluster.wait_until(
        "the load to be noted",
        lambda: status(cluster, namespace).get("ingestion", {}).get("phase") == "Succeeded",
    )


def annotate(cluster: Cluster, namespace: str, annotation: str) -> None:
    cluster.kubectl("annotate", "fmcp/docs", "-n", namespace, f"flamemcp.dev/{annotation}", "--overwrite")


@pytest.mark.usefixtures("operator")
def test_from_the_resource_to_the_loaded_index(cluster: Cluster, namespace: str) -> None:
    loaded(cluster, namespace)
    found = status(cluster, namespace)
    assert found["index"]["collection"] == PUBLISHED["collection"]
    assert found["index"]["lastSuccessfulTime"]
    assert "mode" in found
    events = cluster.kubectl("get", "events", "-n", namespace, "-o", "jsonpath={.items[*].reason}").stdout
    assert "IndexPublished" in events.split()


@pytest.mark.usefixtures("operator")
def test_the_keys_stay_and_their_loss_is_repaired(cluster: Cluster, namespace: str) -> None:
    loaded(cluster, namespace)
    keys = cluster.found("secret", "docs-qdrant", namespace)["data"]
    template = cluster.found("statefulset", "docs-qdrant", namespace)["spec"]["template"]["metadata"]
    cluster.kubectl("delete", "service/docs-qdrant", "statefulset/docs-qdrant", "-n", namespace)
    cluster.wait_until(
        "both to be back",
        lambda: all(cluster.get(kind, "docs-qdrant", namespace) for kind in ("service", "statefulset")),
    )
    assert cluster.found("secret", "docs-qdrant", namespace)["data"] == keys
    again = cluster.found("statefulset", "docs-qdrant", namespace)["spec"]["template"]["metadata"]
    assert again == template


@pytest.mark.usefixtures("operator")
def test_how_a_run_fails_decides_what_is_said(cluster: Cluster, namespace: str) -> None:
    loaded(cluster, namespace)
    error = {"kind": "held", "step": "publish", "message": "It has 1 chunk, less than 90% of 9."}
    annotate(cluster, namespace, "reindex=1")
    end(cluster, namespace, {"error": error}, code=3)
    cluster.wait_for_condition("docs", namespace, "IndexReady", ("False", "IndexHeldBack"))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))
    annotate(cluster, namespace, "reindex=2")
    end(cluster, namespace, {"error": {**error, "kind": "user", "message": "There is no branch x."}}, code=1)
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "IngestionFailed"))
    assert status(cluster, namespace)["index"]["collection"] == PUBLISHED["collection"]
    annotate(cluster, namespace, "reindex=3")
    end(cluster, namespace, PUBLISHED)
    cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))
    # Three finished ones are kept for their logs.
    cluster.wait_until("the oldest Job to go", lambda: len(jobs(cluster, namespace)) == 3)


@pytest.mark.usefixtures("operator")
def test_another_spec_stops_a_run_and_starts_one_of_its_own(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace, **MANAGED))
    store_is_ready(cluster, namespace)
    cluster.wait_until("a Job", lambda: bool(active(cluster, namespace)))
    (first,) = jobs(cluster, namespace)
    cluster.apply(server("docs", namespace, **MANAGED, embedding={"type": "None"}))
    # Its pod has to be gone before the next starts; a kubelet would see to that.
    chosen = f"batch.kubernetes.io/job-name={first['metadata']['name']}"

    def is_stopped() -> bool:
        return first["metadata"]["uid"] not in {job["metadata"]["uid"] for job in active(cluster, namespace)}

    cluster.wait_until("the run to be stopped", is_stopped)
    cluster.kubectl("delete", "pods", "-n", namespace, "-l", chosen, "--grace-period=0", "--force")
    cluster.wait_until("another", lambda: bool(active(cluster, namespace)))
    (second,) = active(cluster, namespace)
    assert second["metadata"]["name"] != first["metadata"]["name"]


@pytest.mark.usefixtures("operator")
def test_without_it_all_of_it_goes(cluster: Cluster, namespace: str) -> None:
    loaded(cluster, namespace)
    # There is no node, so pods that are wanted would never have been replaced.
    cluster.apply(server("docs", namespace, replicas=0))
    kinds = ("statefulsets", "jobs", "secrets", "services", "networkpolicies")

    def left() -> set[str]:
        names = {one["metadata"]["name"] for kind in kinds for one in cluster.items(kind, namespace)}
        return {name for name in names if "docs-" in name}

    cluster.wait_until("all to be gone", lambda: not left())
    assert "ingestion" not in status(cluster, namespace)
    assert SERVER.kind == "FlameMCPServer"
