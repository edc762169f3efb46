"""A release of the operator's chart from its first install to its last, and one of the server's that grows.

The API server is a real one. The operator runs as a process here, with the account, the arguments and the
settings that the chart gives its pods; tests/e2e/test_lifecycle.py goes the same way with pods.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.control_plane import ControlPlane
from tests.harness.operator_process import Operator
from tests.support.charts.helm_cli import OPERATOR_CHART, SERVER_CHART, run_helm
from tests.support.cluster.cluster import Cluster, Json, server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PREVIOUS = Path(__file__).parents[1] / "charts" / "previous" / "flame-mcp-operator-0.1.0.tgz"
SYSTEM, TEAM = "flame-mcp-system", "team"
CHILDREN = "deployments,services,configmaps,networkpolicies,serviceaccounts,poddisruptionbudgets"
Helm = Callable[..., str]


@pytest.fixture(scope="module", params=["helm", "helm3"])
def program(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, program: str) -> Iterator[Cluster]:  # noqa: ARG001 - one each
    """An API server that has never heard of the product."""
    state = tmp_path_factory.mktemp("lifecycle")
    with ControlPlane.start(state, audit_log=state / "audit.log") as plane:
        found = Cluster(plane, state / "audit.log")
        for name in (SYSTEM, TEAM):
            found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield found


@pytest.fixture(scope="module")
def helm(program: str, fresh: Cluster) -> Helm:
    def run(*args: str | Path) -> str:
        where = (f"--kubeconfig={fresh.plane.kubeconfig}", "--namespace", SYSTEM)
        done = run_helm(*args, *where, program=program)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


class Installed:
    """The operator of the release, as its Deployment describes it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.operator: Operator | None = None

    def restart(self) -> None:
        """What a rollout of its Deployment does."""
        self.stop()
        deployment = self.cluster.found("deployment", "flame-flame-mcp-operator", SYSTEM)
        pod = deployment["spec"]["template"]["spec"]
        container = pod["containers"][0]
        environment = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        environment |= {"FLAME_OPERATOR_NAMESPACE": SYSTEM, "FLAME_OPERATOR_POD_NAME": "operator-0"}
        environment.pop("FLAME_OPERATOR_METRICS_PORT")  # taken, where several run on one machine
        kubeconfig = self.cluster.kubeconfig_of(SYSTEM, pod["serviceAccountName"], self.folder)
        arguments = [one for one in container["args"] if one != "run"]
        self.operator = Operator(kubeconfig, self.folder / "operator.log", *arguments, **environment)
        self.operator.wait_until_ready()

    def stop(self) -> None:
        if self.operator is not None:
            self.operator.stop()
        self.operator = None


@pytest.fixture
def installed(fresh: Cluster, tmp_path: Path) -> Iterator[Installed]:
    found = Installed(fresh, tmp_path)
    yield found
    found.stop()


def children(cluster: Cluster) -> dict[str, tuple[str, Any]]:
    """All children by kind and name: their identity, and what they are asked to be."""
    listed = cluster.kubectl(
        "get", CHILDREN, "-n", TEAM, "-l", "app.kubernetes.io/part-of=flame-mcp", "-o", "json"
    )
    return {
        f"{one['kind']} {one['metadata']['name']}": (
            one["metadata"]["uid"],
            one.get("spec", one.get("data")),
        )
        for one in json.loads(listed.stdout)["items"]
    }


def generations(cluster: Cluster) -> dict[str, int]:
    return {
        one["metadata"]["name"]: one["metadata"]["generation"] for one in cluster.items("deployments", TEAM)
    }


def settled(cluster: Cluster, name: str) -> Callable[[], bool]:
    """Whether the operator has seen the resource as it is now."""

    def seen() -> bool:
        found: Json = cluster.found("fmcp", name, TEAM)
        status = found.get("status", {})
        return bool(status.get("observedGeneration") == found["metadata"]["generation"]) and bool(
            cluster.get("deployment", name, TEAM)
        )

    return seen


def test_a_release_from_install_to_adoption(fresh: Cluster, helm: Helm, installed: Installed) -> None:
    helm("install", "flame", PREVIOUS)
    fresh.kubectl("wait", "--for=condition=Established", "crd/flamemcpservers.flamemcp.dev")
    installed.restart()
    fresh.apply(server("plain", TEAM), server("tuned", TEAM, replicas=1, search={"maxTokens": 6000}))
    for name in ("plain", "tuned"):
        fresh.wait_until(f"children of {name}", settled(fresh, name))
    before, at_first = children(fresh), generations(fresh)

    # Upgrade and rollback change the operator and no server.
    helm("upgrade", "flame", OPERATOR_CHART)
    installed.restart()
    fresh.apply(server("newer", TEAM, replicas=1))
    fresh.wait_until("children of newer", settled(fresh, "newer"))
    assert {name: children(fresh)[name] for name in before} == before
    helm("rollback", "flame", "1")
    installed.restart()
    fresh.apply(server("newest", TEAM, replicas=1))
    fresh.wait_until("children of newest", settled(fresh, "newest"))
    assert {name: children(fresh)[name] for name in before} == before
    assert {name: generations(fresh)[name] for name in at_first} == at_first

    # Uninstalled: the resources, their definition and their servers stay, and no right of the operator.
    everything = children(fresh)
    installed.stop()
    helm("uninstall", "flame")
    names = {one["metadata"]["name"] for one in fresh.items("fmcp", TEAM)}
    assert names == {"plain", "tuned", "newer", "newest"}
    assert children(fresh) == everything
    for kind in ("clusterroles", "clusterrolebindings", "roles", "serviceaccounts"):
        assert "flame-mcp-operator" not in fresh.kubectl("get", kind, "-n", SYSTEM, "-o", "name").stdout

    # Nobody has to be there for a resource to be deleted: no finalizer waits for an operator.
    fresh.kubectl("delete", "fmcp/newest", "-n", TEAM, "--timeout=10s")
    fresh.wait_until("its children to be collected", lambda: fresh.get("deployment", "newest", TEAM) is None)

    # Installed again, it takes the definition and the servers over as they are.
    helm("install", "flame", OPERATOR_CHART, "--set", "replicas=1")
    remaining = children(fresh)
    installed.restart()
    fresh.apply(server("last", TEAM, replicas=1))
    fresh.wait_until("children of the last", settled(fresh, "last"))
    assert {name: children(fresh)[name] for name in remaining} == remaining
    assert {name: generations(fresh)[name] for name in at_first} == at_first


def test_a_namespace_goes_without_an_operator(fresh: Cluster) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "leaving"}}
    fresh.apply(body)
    fresh.apply(server("docs", "leaving"))
    fresh.kubectl("delete", "namespace", "leaving", "--timeout=30s")


def test_the_plain_charts_qdrant_grows_as_its_readme_says(fresh: Cluster, helm: Helm) -> None:
    store = ("statefulset", "docs-qdrant", SYSTEM)
    options = ("--set", "fullnameOverride=docs,mode=withQdrant,secrets.qdrant.existingSecret=keys")
    helm("upgrade", "--install", "docs", SERVER_CHART, *options)
    before = fresh.found(*store)["metadata"]["uid"]
    fresh.kubectl("delete", *store[:2], "-n", SYSTEM, "--cascade=orphan")
    helm("upgrade", "docs", SERVER_CHART, *options, "--set", "vectorStore.managed.storage.size=20Gi")
    after = fresh.found(*store)
    (claim,) = after["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert after["metadata"]["uid"] != before
    helm("uninstall", "docs")
