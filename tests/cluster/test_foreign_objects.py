"""Objects of others that have the name of a child."""

import json

import pytest

from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.default_children import CHILDREN

pytestmark = pytest.mark.cluster


@pytest.mark.usefixtures("lasting_operator")
@pytest.mark.parametrize("kind", CHILDREN)
def test_foreign_objects_are_never_touched(cluster: Cluster, namespace: str, kind: str) -> None:
    bodies = {body["kind"].lower(): body for body in foreign(namespace)}
    cluster.apply(bodies[kind])
    before = cluster.found(kind, "docs", namespace)
    cluster.apply(server("docs", namespace))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "NameTaken"))
    cluster.wait_for_condition("docs", namespace, "Ready", ("False", "NameTaken"))
    after = cluster.found(kind, "docs", namespace)
    for field in ("spec", "data"):
        assert after.get(field) == before.get(field)
    for field in ("labels", "uid", "ownerReferences"):
        assert after["metadata"].get(field) == before["metadata"].get(field)
    managers = {entry["manager"] for entry in with_managers(cluster, kind, namespace)}
    assert not {manager for manager in managers if manager.startswith("flame")}
    message = cluster.found("fmcp", "docs", namespace)["status"]["conditions"][0]["message"]
    assert "don't belong to it" in message


def with_managers(cluster: Cluster, kind: str, namespace: str) -> list[Json]:
    text = cluster.kubectl("get", kind, "docs", "-n", namespace, "-o", "json", "--show-managed-fields").stdout
    fields: list[Json] = json.loads(text)["metadata"]["managedFields"]
    return fields


def foreign(namespace: str) -> list[Json]:
    metadata = {"name": "docs", "namespace": namespace}
    labels = {"app": "theirs"}
    pod = {"containers": [{"name": "theirs", "image": "theirs:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"theirs": "1"}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 1}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {"podSelector": {"matchLabels": labels}},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
        },
    ]
