"""Large objects that anybody may label like children, against the real API server.

What they cost the operator in memory, and that it goes on: children are found, edits undone, restarts quiet.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flame_operator.resource.kinds import CONFIG_MAP, DEPLOYMENT, INSTANCE, MANAGER, SERVICE, Kind
from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.default_children import wait_until_at_rest
from tests.support.cluster.dry_run import Client

pytestmark = pytest.mark.cluster

LABELS = {"app.kubernetes.io/managed-by": MANAGER, INSTANCE: "docs"}
OF_OPERATOR_KIB = 40 * 1024
"""How much memory the operator may need for all of it, in KiB."""


def junk(kind: Kind, name: str, namespace: str, annotation: int = 0, **content: Any) -> Json:  # noqa: ANN401 - JSON
    annotations = {"annotations": {"x": "x" * annotation}} if annotation else {}
    metadata = {"name": name, "namespace": namespace, "labels": LABELS, **annotations}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}


def deployment(name: str, namespace: str) -> Json:
    labels = {"app": "junk"}
    pod = {"containers": [{"name": "junk", "image": "junk:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return junk(DEPLOYMENT, name, namespace, 200_000, spec=spec)


def everything(namespace: str) -> Iterator[tuple[Kind, Json]]:
    for number in range(40):
        yield CONFIG_MAP, junk(CONFIG_MAP, f"junk-{number}", namespace, data={"x": "x" * 1_000_000})
    for number in range(20):
        ports = {"ports": [{"port": 80}]}
        yield (
            SERVICE,
            junk(SERVICE, f"junk-{number}", namespace, 200_000, spec={"clusterIP": "None", **ports}),
        )
        yield DEPLOYMENT, deployment(f"junk-{number}", namespace)


def peak_kib(operator: Operator) -> int:
    """The most memory that the process has ever had, in KiB."""
    status = Path(f"/proc/{operator.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@pytest.mark.timeout(180)
def test_large_objects_with_the_labels_of_children(
    cluster: Cluster, client: Client, namespace: str, start_operator: Callable[..., Operator]
) -> None:
    """Attack 3 (H2): 40 ConfigMaps of 1 MB; 20 Services and 20 Deployments with 200 kB of annotations."""
    first = start_operator(FLAME_OPERATOR_RESYNC_SECONDS="1")
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    first.wait_for("swept", count=len(first.lines("swept")) + 2)
    before, objects = peak_kib(first), first.lines("swept")[-1]["objects"]
    hostile = cluster.namespace()
    for kind, body in everything(hostile):
        assert client.send("POST", kind.path(hostile), body)[0] == 201
    for turn in range(5):
        for number in range(8):
            path = CONFIG_MAP.path(hostile, f"junk-{number}")
            assert client.send("PATCH", path, {"data": {"turn": str(turn)}}, "merge-patch+json")[0] == 200
    first.wait_for("swept", count=len(first.lines("swept")) + 2)
    assert first.lines("swept")[-1]["objects"] == objects
    assert peak_kib(first) - before < OF_OPERATOR_KIB
    patch = '{"data":{"FLAME_MCP_PORT":"1"}}'
    cluster.kubectl("patch", "cm", "docs", "-n", namespace, "--type=merge", "-p", patch)
    cluster.wait_until(
        "the edit to be undone",
        lambda: cluster.found("cm", "docs", namespace)["data"]["FLAME_MCP_PORT"] != "1",
    )
    wait_until_at_rest(cluster, namespace)
    first.stop()
    writes = cluster.operator_writes(namespace)
    second = start_operator(FLAME_OPERATOR_RESYNC_SECONDS="1")
    second.wait_for("swept", count=2)
    assert cluster.operator_writes(namespace) == writes
    assert peak_kib(second) - before < OF_OPERATOR_KIB
    second.stop()
    for kind in (CONFIG_MAP, SERVICE, DEPLOYMENT):
        cluster.kubectl("delete", kind.plural, "-n", hostile, "--all", "--wait=false")
