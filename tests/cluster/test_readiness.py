"""Readiness follows pods and their answers; what keeps pods or children away is reported.

There is no node: tests report what kubelets would, and the server listens on this machine.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from flame_server.index.build import build_index
from tests.support.cluster.cluster import Cluster, server
from tests.support.cluster.default_children import NOT_READY, wait_until_at_rest
from tests.support.cluster.pods import set_pods_ready
from tests.support.server.server_process import FLAME_MCP, running

pytestmark = pytest.mark.cluster

WIDE = ("IMAGE", "COLLECTION", "LAST-INGEST", "EXTERNAL-URL")


@pytest.fixture
def pods_of_service(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Stands for the pods: the real server, listening on this machine under the Service's address."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "camera.md").write_text("# Camera\n\nThe camera follows a component.\n")
    build_index(str(pages), tmp_path / "index", embedding="none", report=lambda _: None)
    with ExitStack() as stack:

        def start() -> None:
            service = cluster.found("service", "docs", namespace)["spec"]
            settings = {
                "HOST": service["clusterIP"],
                "PORT": str(service["ports"][0]["port"]),
                "ALLOWED_HOSTS": f"docs.{namespace}.svc",
                "LOG_LEVEL": "error",
            }
            stack.enter_context(running([*FLAME_MCP, "serve"], tmp_path / "index", **settings))

        yield start


@pytest.mark.timeout(150)
@pytest.mark.usefixtures("lasting_operator")
def test_ready_follows_the_pods_and_their_answers(
    cluster: Cluster, namespace: str, pods_of_service: Callable[[], None]
) -> None:
    spec = {"service": {"port": 18080}, "verification": {"query": "camera"}}
    cluster.apply(server("docs", namespace, **spec))
    wait_until_at_rest(cluster, namespace)
    set_pods_ready(cluster, namespace, ready=True)
    cluster.wait_for_condition("docs", namespace, "Ready", ("False", "NotAnswering"))
    pods_of_service()
    # After several failures it is asked again within a minute.
    cluster.wait_for_condition("docs", namespace, "Ready", ("True", "Answering"), timeout=70)
    cluster.kubectl("wait", "--for=condition=Ready", "fmcp/docs", "-n", namespace, "--timeout=30s")
    cluster.wait_for_condition("docs", namespace, "Reconciling", ("False", "UpToDate"))
    status = cluster.found("fmcp", "docs", namespace)["status"]
    assert status["readyReplicas"] == 2
    assert "get_flame_knowledge" in status["server"]["tools"]
    assert status["index"]["chunks"] > 0
    table = cluster.kubectl("get", "fmcp", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert table[0].split() == ["NAME", "READY", "REASON", "MODE", "REPLICAS", "URL", "AGE", *WIDE]
    assert table[1].split()[:5] == ["docs", "True", "Answering", "Standalone", "2"]
    set_pods_ready(cluster, namespace, ready=False)
    cluster.wait_for_condition("docs", namespace, "Ready", NOT_READY)
    cluster.wait_until(
        "both events",
        lambda: (
            {"Ready", "PodsNotReady"} <= {event["reason"] for event in cluster.items("events", namespace)}
        ),
    )


@pytest.mark.usefixtures("lasting_operator")
def test_a_quota_that_keeps_pods_away_is_reported(cluster: Cluster, namespace: str) -> None:
    quota = {
        "kind": "ResourceQuota",
        "apiVersion": "v1",
        "metadata": {"name": "tiny", "namespace": namespace},
    }
    cluster.apply({**quota, "spec": {"hard": {"pods": "0"}}})
    cluster.wait_until(
        "the quota to be counted",
        lambda: "hard" in cluster.found("quota", "tiny", namespace).get("status", {}),
    )
    cluster.apply(server("docs", namespace))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "PodsRejected"))
    message = cluster.found("fmcp", "docs", namespace)["status"]["conditions"][0]["message"]
    assert "exceeded quota: tiny" in message


@pytest.mark.usefixtures("lasting_operator")
def test_a_child_that_admission_refuses_is_reported_and_retried(cluster: Cluster, namespace: str) -> None:
    quota = {
        "kind": "ResourceQuota",
        "apiVersion": "v1",
        "metadata": {"name": "none", "namespace": namespace},
    }
    cluster.apply({**quota, "spec": {"hard": {"services": "0"}}})
    cluster.wait_until(
        "the quota to be counted",
        lambda: "hard" in cluster.found("quota", "none", namespace).get("status", {}),
    )
    cluster.apply(server("docs", namespace))
    cluster.wait_for_condition("docs", namespace, "Stalled", ("True", "ApplyRefused"))
    cluster.kubectl("delete", "quota", "none", "-n", namespace)
    cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))
