"""With Qdrant and Full Stack on a real node, up to answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness import volumes
from tests.harness.cluster import Cluster
from tests.support.e2e import product, standins
from tests.support.e2e.standins import GitServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
CLAIM = "pvc/storage-docs-qdrant-0"


@pytest.fixture
def cluster(installed: Cluster) -> Iterator[Cluster]:
    """The cluster, with volumes for the test's claims."""
    with volumes.provided(installed, 2):
        yield installed


def status(cluster: Cluster, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = product.get(cluster, namespace, "fmcp/docs").get("status") or {}
    return found


def condition(cluster: Cluster, namespace: str, kind: str) -> tuple[str, str, str]:
    for one in status(cluster, namespace).get("conditions", []):
        if one["type"] == kind:
            return one["status"], one["reason"], one["message"]
    return "", "", ""


def wait_until(
    cluster: Cluster, namespace: str, what: str, holds: Callable[[], bool], seconds: float = 120
) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            found = cluster.kubectl("describe", "-n", namespace, "fmcp/docs", check=False).stdout
            pods = cluster.kubectl("get", "-n", namespace, "pods,jobs", check=False).stdout
            raise AssertionError(f"not in {seconds} s: {what}\n{found}\n{pods}")
        time.sleep(0.5)  # between two looks, not instead of one


def ask(cluster: Cluster, namespace: str, image: str, question: str) -> dict[str, Any]:
    url = status(cluster, namespace)["url"]
    return product.ask_from_a_pod(cluster, namespace, url, question, image)


def owned(cluster: Cluster, namespace: str) -> list[str]:
    kinds = "statefulsets,jobs,deployments,pods,services,secrets,networkpolicies"
    found = cluster.kubectl(
        "get", "-n", namespace, kinds, "-l", "app.kubernetes.io/instance=docs", "-o", "name"
    )
    return found.stdout.split()


def has_claim(cluster: Cluster, namespace: str) -> bool:
    return cluster.kubectl("get", "-n", namespace, CLAIM, check=False).returncode == 0


def test_with_qdrant_from_one_line_to_an_answer_and_its_volume_stays(
    cluster: Cluster, namespace: str, server_image: str
) -> None:
    started = time.monotonic()
    snapshots = {"schedule": "* * * * *", "keep": 1}
    store = {"type": "Managed", "managed": {"snapshots": snapshots}}
    product.apply(cluster, namespace, "docs", {"vectorStore": store})
    product.wait_ready(cluster, namespace, "docs", timeout=180)
    print(f"With Qdrant: Ready {time.monotonic() - started:.1f} s after apply")

    def loaded() -> bool:
        return "lastSuccessfulTime" in status(cluster, namespace).get("index", {})

    wait_until(cluster, namespace, "the load to be noted", loaded)
    found = status(cluster, namespace)
    assert found["mode"] == "WithQdrant"
    assert found["index"]["collection"].startswith("flame-docs__")
    answer = ask(cluster, namespace, server_image, product.QUESTION)
    assert answer["results"][0]["source_path"] == "flame/collision_detection.md"

    # Its pod comes back with what it had: nothing is loaded again.
    cluster.kubectl("delete", "-n", namespace, "pod/docs-qdrant-0", "--timeout=60s")
    product.wait_ready(cluster, namespace, "docs", timeout=120)
    jobs = product.get(cluster, namespace, "jobs")["items"]
    assert len([job for job in jobs if job["metadata"]["annotations"]["flamemcp.dev/task"] == "ingest"]) == 1

    def has_snapshot() -> bool:
        return bool(status(cluster, namespace).get("snapshots", {}).get("phase") == "Succeeded")

    wait_until(cluster, namespace, "a snapshot on its schedule", has_snapshot, 150)

    cluster.kubectl("delete", "-n", namespace, "fmcp/docs", "--timeout=60s")
    wait_until(cluster, namespace, "all to be gone", lambda: not owned(cluster, namespace))
    assert has_claim(cluster, namespace)

    # The drill of docs/qdrant.md: a resource of the same name finds its data, and restores a snapshot of it.
    product.apply(cluster, namespace, "docs", {"vectorStore": {"type": "Managed"}})
    product.wait_ready(cluster, namespace, "docs", timeout=180)
    wait_until(cluster, namespace, "the load to be noted", loaded)
    assert status(cluster, namespace)["index"]["collection"] == found["index"]["collection"]

    def index(*args: str) -> str:
        environment = {
            "FLAME_MCP_QDRANT_URL": f"http://docs-qdrant.{namespace}.svc:6333",
            "FLAME_MCP_QDRANT_API_KEY_FILE": "/secret/api-key",
        }
        return product.run_in_a_pod(
            cluster,
            namespace,
            server_image,
            ["index", *args],
            environment=environment,
            secret="docs-qdrant",  # noqa: S106 - its name
            labels={"app.kubernetes.io/name": "flame-mcp-ingestion", "app.kubernetes.io/instance": "docs"},
        )

    (snapshot,) = json.loads(index("snapshots", "--json"))
    assert "restored flame-docs__" in index("restore", "--snapshot", snapshot["name"])
    answer = ask(cluster, namespace, server_image, product.QUESTION)
    assert answer["results"][0]["source_path"] == "flame/collision_detection.md"


@pytest.fixture
def git(cluster: Cluster, namespace: str, prepared: tuple[Cluster, product.Images]) -> GitServer:
    product.apply_namespace(cluster, namespace)
    return standins.git_server(cluster, namespace, standins.image(cluster, prepared[1]))


def test_full_stack_from_a_git_server(
    cluster: Cluster, namespace: str, server_image: str, git: GitServer
) -> None:
    def run_ended(trigger: str) -> bool:
        run = status(cluster, namespace).get("ingestion", {})
        return run.get("trigger") == trigger and run.get("phase") in ("Succeeded", "Failed")

    started = time.monotonic()
    product.apply(cluster, namespace, "docs", standins.full_stack(git))
    product.wait_ready(cluster, namespace, "docs", timeout=240)
    wait_until(cluster, namespace, "the first run", lambda: run_ended("spec"))
    print(f"Full Stack: loaded {time.monotonic() - started:.1f} s after apply")
    first = status(cluster, namespace)
    assert first["ingestion"]["phase"] == "Succeeded"
    answer = ask(cluster, namespace, server_image, product.QUESTION)
    assert answer["results"][0]["source_path"] == "flame/collision_detection.md"

    # A commit that adds a page is found after the next run.
    commit = git.run("change", standins.NEW_PAGE, standins.NEW_TEXT)
    product.annotate(cluster, namespace, "docs", "reindex=1")
    wait_until(cluster, namespace, "the second run", lambda: run_ended("reindex/1"))
    second = status(cluster, namespace)
    assert second["index"]["sourceRevision"] == commit
    assert second["index"]["collection"] != first["index"]["collection"]

    def finds_it() -> bool:
        results = ask(cluster, namespace, server_image, standins.NEW_QUESTION)["results"]
        return bool(results) and results[0]["source_path"] == standins.NEW_PAGE

    wait_until(cluster, namespace, "the new page to be found", finds_it, 40)

    # One that deletes all pages is held back, and the index before goes on to answer.
    git.run("delete-all-pages")
    product.annotate(cluster, namespace, "docs", "reindex=2")
    wait_until(cluster, namespace, "the third run", lambda: run_ended("reindex/2"))
    assert condition(cluster, namespace, "IndexReady")[:2] == ("False", "IndexHeldBack")
    assert condition(cluster, namespace, "Ready")[0] == "True"
    assert status(cluster, namespace)["index"] == second["index"]
    assert finds_it()
    git.run("revert")

    # Back to the first index, in which that page isn't.
    product.annotate(cluster, namespace, "docs", "rollback=1")
    wait_until(cluster, namespace, "the rollback", lambda: run_ended("rollback/1"))
    assert status(cluster, namespace)["index"]["collection"] == first["index"]["collection"]
    wait_until(cluster, namespace, "the page to be gone", lambda: not finds_it(), 40)
    product.annotate(cluster, namespace, "docs", "rollback-")
    wait_until(cluster, namespace, "loads to go on", lambda: run_ended("resume/1"))
    assert status(cluster, namespace)["index"]["sourceRevision"] == commit
    assert condition(cluster, namespace, "IndexReady")[:2] == ("True", "IndexLoaded")

    cluster.kubectl("delete", "-n", namespace, "fmcp/docs", "--timeout=60s")
    wait_until(cluster, namespace, "all to be gone", lambda: not owned(cluster, namespace))
    wait_until(cluster, namespace, "its volume to be gone", lambda: not has_claim(cluster, namespace))
