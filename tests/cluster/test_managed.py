"""A Qdrant of a resource's own, and the Jobs that load it: on a real API server with its controllers.

There is no node, so the test reports what a kubelet would: that Qdrant is ready, and how a Job's pod ended.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flame_operator.resource.kinds import JOB, SERVER
from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.operators import operators

pytestmark = pytest.mark.cluster
MANAGED: Json = {"vectorStore": {"type": "Managed"}}
PUBLISHED = {"step": "publish", "collection": "flame-docs__1", "documents": 2, "chunks": 9}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One for all tests here: they keep to their namespaces."""
    with operators(cluster, tmp_path_factory.mktemp("operator")) as start:
        yield start(FLAME_OPERATOR_REFERENCE_POLL_SECONDS="1")


def patch_status(cluster: Cluster, what: str, namespace: str, status: Json) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", what, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def store_is_ready(cluster: Cluster, namespace: str) -> None:
    cluster.wait_until("Qdrant's pod", lambda: cluster.get("pod", "docs-qdrant-0", namespace) is not None)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    patch_status(cluster, "pod/docs-qdrant-0", namespace, ready)


def jobs(cluster: Cluster, namespace: str) -> list[Json]:
    found: Json = json.loads(cluster.kubectl("get", JOB.plural, "-n", namespace, "-o", "json").stdout)
    items: list[Json] = found["items"]
    return sorted(items, key=lambda job: (job["metadata"]["creationTimestamp"], job["metadata"]["name"]))


def active(cluster: Cluster, namespace: str) -> list[Json]:
    return [
        job
        for job in jobs(cluster, namespace)
        if not job.get("status", {}).get("conditions") and not job["metadata"].get("deletionTimestamp")
    ]


def end(cluster: Cluster, namespace: str, code: int, result: Json) -> None:
    """The pod of the running Job ends with a result."""
    cluster.wait_until("a Job", lambda: bool(active(cluster, namespace)))
    (job,) = active(cluster, namespace)
    chosen = f"batch.kubernetes.io/job-name={job['metadata']['name']}"

    def pods() -> list[Json]:
        found: Json = json.loads(
            cluster.kubectl("get", "pods", "-n", namespace, "-l", chosen, "-o", "json").stdout
        )
        return [one for one in found["items"] if one["status"]["phase"] == "Pending"]

    cluster.wait_until("its pod", lambda: bool(pods()))
    name, last = pods()[0]["metadata"]["name"], pods()[0]["spec"]["containers"][-1]
    state = {
        "exitCode": code,
        "message": json.dumps(result),
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:01Z",
    }
    container = {
        "name": last["name"], "image": last["image"], "imageID": "", "ready": False, "restartCount": 0,
        "state": {"terminated": state},
    }  # fmt: skip
    phase = "Succeeded" if code == 0 else "Failed"
    patch_status(cluster, f"pod/{name}", namespace, {"phase": phase, "containerStatuses": [container]})


def status(cluster: Cluster, namespace: str) -> Any:  # noqa: ANN401 - JSON
    return cluster.found("fmcp", "docs", namespace).get("status", {})


def loaded(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace, **MANAGED))
    store_is_ready(cluster, namespace)
    end(cluster, namespace, 0, PUBLISHED)
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
    end(cluster, namespace, 3, {"error": error})
    cluster.wait_for_condition("docs", namespace, "IndexReady", ("False", "IndexHeldBack"))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))
    annotate(cluster, namespace, "reindex=2")
    end(cluster, namespace, 1, {"error": {**error, "kind": "user", "message": "There is no branch x."}})
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "IngestionFailed"))
    assert status(cluster, namespace)["index"]["collection"] == PUBLISHED["collection"]
    annotate(cluster, namespace, "reindex=3")
    end(cluster, namespace, 0, PUBLISHED)
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
    kinds = "statefulsets,jobs,secrets,services,networkpolicies"

    def left() -> set[str]:
        found = cluster.kubectl("get", kinds, "-n", namespace, "-o", "name").stdout.split()
        return {name for name in found if "docs-" in name}

    cluster.wait_until("all to be gone", lambda: not left())
    assert "ingestion" not in status(cluster, namespace)
    assert SERVER.kind == "FlameMCPServer"
