"""A release of the operator's chart on a real node, with servers that go on answering all the while.

tests/cluster/test_chart_lifecycle.py goes the same way without pods, and looks closer at objects.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.cluster import Cluster
from tests.harness.paths import REPO
from tests.harness.proc import wait_for
from tests.support.e2e import product, standins

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PREVIOUS = REPO / "tests" / "charts" / "previous" / "flame-mcp-operator-0.1.0.tgz"
RELEASE, SYSTEM = product.RELEASE, product.SYSTEM_NAMESPACE


@pytest.fixture
def release(prepared: tuple[Cluster, product.Images]) -> Iterator[Cluster]:
    """The cluster, whose operator is there again afterwards, for the tests that come."""
    cluster, built = prepared
    yield cluster
    product.install_operator(cluster, built, standins.qdrant_image(cluster, built))


def test_servers_outlive_upgrades_and_the_operator(
    release: Cluster, namespace: str, prepared: tuple[Cluster, product.Images]
) -> None:
    cluster, built = release, prepared[1]
    qdrant = standins.qdrant_image(cluster, built)

    def pods() -> set[tuple[str, int]]:
        return product.pods(cluster, namespace, "app.kubernetes.io/instance=docs")

    def uninstall() -> None:
        cluster.helm("uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout=2m")

    def answers() -> bool:
        url = f"http://docs.{namespace}.svc/mcp"
        return bool(
            product.ask_from_a_pod(cluster, namespace, url, product.QUESTION, built.server)["results"]
        )

    # From the chart before this one, with a live server, to this one, tested, and back.
    uninstall()
    product.install_operator(cluster, built, qdrant, PREVIOUS)
    product.apply(cluster, namespace, "docs", {})
    product.wait_ready(cluster, namespace, "docs")
    product.wait_settled(cluster, namespace, "docs")
    before = pods()
    product.install_operator(cluster, built, qdrant)
    tested = cluster.helm("test", RELEASE, "-n", SYSTEM, "--logs", "--timeout=3m").stdout
    assert "docs.flame-engine.org" in tested
    assert pods() == before
    cluster.helm("rollback", RELEASE, "1", "-n", SYSTEM, "--wait", "--timeout=2m")
    product.apply(cluster, namespace, "meanwhile", {"replicas": 1})
    product.wait_ready(cluster, namespace, "meanwhile")
    assert pods() == before

    # Without an operator: the server answers, and what is deleted goes.
    uninstall()
    assert answers()
    cluster.kubectl("delete", "-n", namespace, "fmcp/meanwhile", "--timeout=30s")
    gone = ("get", "-n", namespace, "deployment/meanwhile", "--ignore-not-found", "-o", "name")
    wait_for("its children to be collected", lambda: not cluster.kubectl(*gone).stdout, timeout=60)
    other = f"{namespace}-other"
    product.apply(cluster, other, "docs", {"replicas": 1})
    cluster.kubectl("delete", "namespace", other, "--timeout=60s")

    # Installed again: the same pods are its own.
    product.install_operator(cluster, built, qdrant)
    product.apply(cluster, namespace, "docs", {"search": {"maxTokens": 4000}})
    product.wait_settled(cluster, namespace, "docs")
    assert pods() == before
    assert answers()
