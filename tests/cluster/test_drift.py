"""Children that somebody edits or deletes."""

import json
from collections.abc import Callable

import pytest

from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.default_children import CHILDREN, children, wait_until_at_rest

pytestmark = pytest.mark.cluster


def change_config(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl(
        "patch", "cm", "docs", "-n", namespace, "--type=merge", "-p", '{"data":{"FLAME_MCP_PORT":"1"}}'
    )


def change_service(cluster: Cluster, namespace: str) -> None:
    ports = '[{"op":"replace","path":"/spec/ports/0/port","value":99}]'
    cluster.kubectl("patch", "svc", "docs", "-n", namespace, "--type=json", "-p", ports)


def add_port(cluster: Cluster, namespace: str) -> None:
    ports = '[{"op":"add","path":"/spec/ports/-","value":{"name":"theirs","port":99}}]'
    cluster.kubectl("patch", "svc", "docs", "-n", namespace, "--type=json", "-p", ports)


def change_container_port(cluster: Cluster, namespace: str) -> None:
    path = "/spec/template/spec/containers/0/ports/0/containerPort"
    ports = json.dumps([{"op": "replace", "path": path, "value": 9}])
    cluster.kubectl("patch", "deploy", "docs", "-n", namespace, "--type=json", "-p", ports)


def change_deployment(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("set", "image", "deploy/docs", "server=evil:1", "-n", namespace)


def remove_labels(cluster: Cluster, namespace: str) -> None:
    label = "app.kubernetes.io/managed-by-"
    cluster.kubectl("label", "sa", "docs", "-n", namespace, label)


@pytest.mark.usefixtures("lasting_operator")
@pytest.mark.parametrize(
    "change",
    [change_config, change_service, add_port, change_container_port, change_deployment, remove_labels],
)
def test_edits_of_children_are_undone(
    cluster: Cluster, namespace: str, change: Callable[[Cluster, str], None]
) -> None:
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    before = {kind: essence(child) for kind, child in children(cluster, namespace).items()}
    change(cluster, namespace)
    cluster.wait_until(
        "the edit to be undone",
        lambda: {kind: essence(child) for kind, child in children(cluster, namespace).items()} == before,
    )


def essence(child: Json | None) -> Json | None:
    """A child less what changes on its own."""
    if child is None:
        return None
    plain = {name: value for name, value in child.items() if name != "status"}
    plain["metadata"] = {name: child["metadata"].get(name) for name in ("name", "labels", "ownerReferences")}
    return plain


@pytest.mark.usefixtures("lasting_operator")
@pytest.mark.parametrize("kind", CHILDREN)
def test_deleted_children_come_back(cluster: Cluster, namespace: str, kind: str) -> None:
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    old = cluster.found(kind, "docs", namespace)["metadata"]["uid"]
    cluster.kubectl("delete", kind, "docs", "-n", namespace, "--wait=false")

    def back() -> bool:
        child = cluster.get(kind, "docs", namespace)
        return child is not None and child["metadata"]["uid"] != old

    cluster.wait_until(f"the {kind} to come back", back)
