"""The main job on a real node: apply a resource, get an answer from the real docs."""

from __future__ import annotations

import json
import time

import pytest

from tests.harness.cluster import Cluster
from tests.support.e2e import product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
OPERATOR_WRITES = {"FlameMCPServer", "Deployment", "Service", "ConfigMap", "ServiceAccount"}
RIGHT_PAGE = "flame/collision_detection.md"


def ask(cluster: Cluster, namespace: str, server_image: str) -> None:
    """One answer, through the Service, from inside the cluster, checked for the right page."""
    url = product.get(cluster, namespace, "fmcp/docs")["status"]["url"]
    answer = product.ask_from_a_pod(cluster, namespace, url, product.QUESTION, server_image)
    assert answer["results"][0]["source_path"] == RIGHT_PAGE


def owned(cluster: Cluster, namespace: str) -> list[str]:
    """What carries the operator's label there."""
    kinds = "deployments,replicasets,pods,services,configmaps,serviceaccounts"
    found = cluster.kubectl(
        "get", "-n", namespace, kinds, "-l", "app.kubernetes.io/name=flame-mcp-server", "-o", "name"
    )
    return found.stdout.split()


def until_nothing_is_owned(cluster: Cluster, namespace: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := owned(cluster, namespace):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.5)  # between two looks, not instead of one


def test_apply_answer_survive_delete(installed: Cluster, namespace: str, server_image: str) -> None:
    started = time.monotonic()
    product.apply(installed, namespace, "docs", {})
    product.wait_ready(installed, namespace, "docs", timeout=60)
    print(f"Ready {time.monotonic() - started:.1f} s after apply")

    both = "--for=jsonpath={.status.readyReplicas}=2"
    installed.kubectl("wait", "-n", namespace, "fmcp/docs", both, "--timeout=60s")
    status = product.get(installed, namespace, "fmcp/docs")["status"]
    assert status["mode"] == "Standalone"
    assert status["url"] == f"http://docs.{namespace}.svc/mcp"
    ask(installed, namespace, server_image)

    pods = product.get(installed, namespace, "pods", "-l", "app.kubernetes.io/name=flame-mcp-server")["items"]
    installed.kubectl("delete", "-n", namespace, f"pod/{pods[0]['metadata']['name']}", "--wait=false")
    ask(installed, namespace, server_image)
    product.wait_ready(installed, namespace, "docs")

    installed.kubectl("delete", "-n", namespace, "fmcp/docs", "--timeout=30s")
    until_nothing_is_owned(installed, namespace, 90)


def test_an_edit_rolls_out_and_the_operator_may_restart(
    installed: Cluster, namespace: str, server_image: str
) -> None:
    product.apply(installed, namespace, "docs", {"replicas": 1})
    product.wait_ready(installed, namespace, "docs")

    operator = ("-n", product.SYSTEM_NAMESPACE, f"deployment/{product.RELEASE}")
    installed.kubectl("rollout", "restart", *operator)
    spec = {"replicas": 1, "embedding": {"type": "None"}, "search": {"defaultLimit": 3}}
    product.apply(installed, namespace, "docs", spec)
    installed.kubectl("rollout", "status", *operator, "--timeout=90s")
    product.wait_settled(installed, namespace, "docs")

    url = product.get(installed, namespace, "fmcp/docs")["status"]["url"]
    answer = product.ask_from_a_pod(installed, namespace, url, product.QUESTION, server_image)
    assert answer["degraded"] is None
    assert len(answer["results"]) == 3

    # Quiet: with everything in place a new operator changes nothing.
    before = writes(installed, namespace)
    assert {kind for kind, _, _ in before} == OPERATOR_WRITES
    installed.kubectl("rollout", "restart", *operator)
    installed.kubectl("rollout", "status", *operator, "--timeout=90s")
    assert writes(installed, namespace) == before


def writes(cluster: Cluster, namespace: str) -> dict[tuple[str, str, str], str]:
    """When the operator last changed each object, as the API server has it: (kind, name, manager) -> time."""
    kinds = "fmcp,deployments,services,configmaps,serviceaccounts"
    listed = cluster.kubectl("get", "-n", namespace, kinds, "-o", "json", "--show-managed-fields")
    return {
        (item["kind"], item["metadata"]["name"], entry["manager"]): entry["time"]
        for item in json.loads(listed.stdout)["items"]
        for entry in item["metadata"].get("managedFields", [])
        if entry["manager"].startswith("flame-operator")
    }


def test_a_broken_image_is_told_and_a_mended_one_recovers(installed: Cluster, namespace: str) -> None:
    product.apply(installed, namespace, "docs", {"replicas": 1, "image": "flame-mcp/no-such-image:1"})
    not_ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}=False"
    installed.kubectl("wait", "-n", namespace, "fmcp/docs", f"--for={not_ready}", "--timeout=60s")
    product.apply(installed, namespace, "docs", {"replicas": 1, "image": None})
    product.wait_ready(installed, namespace, "docs")
