"""Who may reach whom, by connections that are really made between pods of a node that enforces policies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from tests.harness import addons, volumes
from tests.harness.cluster import Cluster
from tests.harness.errors import HarnessError
from tests.harness.proc import wait_for
from tests.support.e2e import product, reach

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

# As docs/children.md, docs/qdrant.md and docs/metrics.md tell it. Rows connect, columns are connected to.
# Every column has a "yes", so that each "no" is a policy's. A pod always reaches itself.
BY_DEFAULT = """
            docs:8000 docs:9090 qdrant:6333 qdrant:6334 qdrant:6335 operator:8080 operator:9090 api:443 neighbour:8080 dns:53
docs        yes       yes       yes         no          no          no            no            no      no             yes
other       no        no        no          no          no          no            no            no      no             yes
qdrant      no        no        yes         yes         yes         no            no            no      no             yes
job         no        no        yes         no          no          no            no            no      no             yes
operator    yes       no        no          no          no          yes           yes           yes     no             yes
neighbour   yes       yes       no          no          no          yes           yes           yes     yes            yes
stranger    yes       yes       no          no          no          yes           yes           yes     yes            yes
"""  # noqa: E501 - a table

# With networkPolicy.ingressFrom of the resource and networkPolicy.metricsFrom of the chart.
NARROWED = """
            docs:8000 docs:9090 operator:8080 operator:9090
operator    yes       no        yes           yes
neighbour   no        no        yes           no
stranger    yes       yes       yes           yes
"""

Reached = dict[str, list[str]]


def parse(table: str) -> tuple[list[str], Reached]:
    """The columns, and which of them each row reaches."""
    head, *rows = [line.split() for line in table.strip().splitlines()]
    return head, {row[0]: [to for to, may in zip(head, row[1:], strict=True) if may == "yes"] for row in rows}


class Pods:
    """The pods of both tables: where each is, and which address it has."""

    def __init__(self, cluster: Cluster, where: dict[str, tuple[str, str]], services: dict[str, str]) -> None:
        self.cluster = cluster
        self.where = where
        self.addresses = services | {
            name: reach.address(cluster, namespace, pod) for name, (namespace, pod) in where.items()
        }

    def measure(self, table: str) -> Reached:
        columns, rows = parse(table)
        targets = {column: self._target(column) for column in columns}
        found = {row: reach.reached(self.cluster, *self.where[row], targets.values()) for row in rows}
        return {row: [to for to in columns if targets[to] in made] for row, made in found.items()}

    def _target(self, column: str) -> tuple[str, int]:
        name, _, port = column.partition(":")
        return self.addresses[name], int(port)

    def wait_for(self, table: str) -> None:
        """Waits until it is as in the table, as policies take effect a little after they are made."""
        expected, found = parse(table)[1], {}

        def as_expected() -> bool:
            nonlocal found
            found = self.measure(table)
            return found == expected

        try:
            wait_for("pods to reach each other as in the table", as_expected, timeout=30)
        except HarnessError:
            assert found == expected  # shows the difference
            raise


def first_pod(cluster: Cluster, namespace: str, **labels: str) -> str:
    label = ",".join(f"app.kubernetes.io/{key}={value}" for key, value in labels.items())
    found = product.get(cluster, namespace, "pods", "-l", label)["items"]
    running = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    name: str = running[0]["metadata"]["name"]
    return name


def labels_of_jobs(cluster: Cluster, namespace: str) -> dict[str, str]:
    """The labels of the pods of the resource's Jobs, without those by which a Job finds its own."""
    (job, *_) = product.get(cluster, namespace, "jobs")["items"]
    labels: dict[str, str] = job["spec"]["template"]["metadata"]["labels"]
    return {key: value for key, value in labels.items() if "job-name" not in key and "uid" not in key}


def cluster_ip(cluster: Cluster, namespace: str, service: str) -> str:
    found: str = product.get(cluster, namespace, f"service/{service}")["spec"]["clusterIP"]
    return found


@pytest.fixture
def cluster(installed: Cluster) -> Iterator[Cluster]:
    """The cluster, with a volume for Qdrant, and the operator's metrics open to all afterwards, as before."""
    with volumes.provided(installed, 1):
        yield installed
    metrics_from(installed, [])


def metrics_from(cluster: Cluster, peers: list[dict[str, Any]]) -> None:
    values = ("--reuse-values", "--set-json", f"networkPolicy.metricsFrom={json.dumps(peers)}")
    chart = str(product.OPERATOR_CHART)
    cluster.helm("upgrade", product.RELEASE, chart, "-n", product.SYSTEM_NAMESPACE, *values)


@pytest.fixture
def strangers(cluster: Cluster, namespace: str, server_image: str) -> Iterator[str]:
    """A namespace that has nothing to do with the resource's."""
    name = f"{namespace}-strangers"
    product.apply_namespace(cluster, name)
    reach.start(cluster, reach.standing_pod(name, "stranger", server_image))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_who_reaches_whom(cluster: Cluster, namespace: str, server_image: str, strangers: str) -> None:
    spec: dict[str, Any] = {"replicas": 1, "vectorStore": {"type": "Managed"}}
    product.apply(cluster, namespace, "docs", spec)
    product.apply(cluster, namespace, "other", {"replicas": 1})
    reach.start(cluster, reach.standing_pod(namespace, "neighbour", server_image))
    product.wait_ready(cluster, namespace, "docs", timeout=180)
    product.wait_ready(cluster, namespace, "other")
    job = reach.standing_pod(namespace, "job", server_image)
    job["metadata"]["labels"] = labels_of_jobs(cluster, namespace)
    reach.start(cluster, job)
    where = {
        "docs": (namespace, first_pod(cluster, namespace, instance="docs", component="server")),
        "other": (namespace, first_pod(cluster, namespace, instance="other", component="server")),
        "qdrant": (namespace, "docs-qdrant-0"),
        "job": (namespace, "job"),
        "neighbour": (namespace, "neighbour"),
        "stranger": (strangers, "stranger"),
        "operator": (
            product.SYSTEM_NAMESPACE,
            first_pod(cluster, product.SYSTEM_NAMESPACE, component="operator"),
        ),
    }
    services = {
        "api": cluster_ip(cluster, "default", "kubernetes"),
        "dns": cluster_ip(cluster, "kube-system", "kube-dns"),
    }
    pods = Pods(cluster, where, services)
    # A real Qdrant listens at all three; the stand-in has no use for two of them.
    alone = bool(os.environ.get("QDRANT_IMAGE"))
    with nullcontext() if alone else reach.listening(cluster, namespace, "docs-qdrant-0", 6334, 6335):
        pods.wait_for(BY_DEFAULT)

    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": strangers}}}
    product.apply(cluster, namespace, "docs", {**spec, "networkPolicy": {"ingressFrom": [peer]}})
    metrics_from(cluster, [peer])
    pods.wait_for(NARROWED)
    # The operator itself is let in, or it could not say so.
    product.wait_settled(cluster, namespace, "docs")
    product.wait_ready(cluster, namespace, "docs")


@pytest.fixture
def dns_on_5353(installed: Cluster) -> Iterator[None]:
    """CoreDNS listens on 5353 in its pod, as OpenShift's DNS does, and on 53 again afterwards."""
    if installed.kind != "binaries":
        pytest.skip("the DNS of this cluster isn't the harness's own")
    move_dns(installed, 5353)
    yield
    move_dns(installed, 53)


def move_dns(cluster: Cluster, port: int) -> None:
    cluster.kubectl(*addons.APPLY, input=addons.manifest("coredns", dns_port=port))
    cluster.kubectl("rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=120s")
    label = ("-l", "kubernetes.io/service-name=kube-dns")

    def moved() -> bool:
        slices = product.get(cluster, "kube-system", "endpointslices", *label)["items"]
        return {one["port"] for found in slices for one in found["ports"] or []} == {port}

    wait_for(f"DNS to be led to port {port} alone", moved, timeout=120)


LOOK_UP = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"


@pytest.mark.usefixtures("dns_on_5353")
def test_names_are_looked_up_where_dns_listens_on_another_port(installed: Cluster, namespace: str) -> None:
    product.apply(installed, namespace, "docs", {"replicas": 1})
    product.wait_ready(installed, namespace, "docs")
    pods = (
        (namespace, first_pod(installed, namespace, instance="docs", component="server")),
        (product.SYSTEM_NAMESPACE, first_pod(installed, product.SYSTEM_NAMESPACE, component="operator")),
    )
    expected = cluster_ip(installed, namespace, "docs")
    name = f"docs.{namespace}.svc.cluster.local"
    for where, pod in pods:
        look_up = ("python", "-c", LOOK_UP, name)
        assert installed.kubectl("exec", "-n", where, pod, "--", *look_up).stdout.strip() == expected
