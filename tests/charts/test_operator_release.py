"""The operator's chart as a release on a real API server, from its start to its end; and what it tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flame_operator.resource.server import parse_server
from tests.harness import foreign
from tests.harness.control_plane import ControlPlane
from tests.harness.proc import wait_for
from tests.support.charts.helm_cli import CHARTS, render, run_helm
from tests.support.charts.helm_cli import OPERATOR_CHART as CHART

ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text())
MODULE = "github.com/prometheus-operator/prometheus-operator"
RULES = (MODULE, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml")
SYSTEM = "flame-mcp-system"
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

Json = dict[str, Any]


def notes(**values: Any) -> str:  # noqa: ANN401 - JSON
    """What a first installation tells, without a cluster."""
    done = run_helm("install", "flame", CHART, "-n", SYSTEM, "--dry-run=client", values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "kubectl wait -n default --for=condition=Ready fmcp/flame-docs"),
        ({}, "helm test -n flame-mcp-system flame"),
        ({}, "guardrails.enabled limits that"),
        ({"watchNamespaces": ["one", "two"]}, "watches one, two"),
        ({"watchNamespaces": ["one", "two"]}, "kubectl apply -n one"),
        ({"servers": {"docs": {}}}, "Run helm upgrade once more"),
        ({"crds": {"enabled": False}}, "install crds/flamemcpservers.yaml yourself"),
        ({"crds": {"keep": False}}, "WARNING: helm uninstall deletes the CRD"),
        ({"replicas": 1}, "WARNING: only one operator pod runs"),
        ({"replicas": 0}, "WARNING: no operator pod runs"),
        ({"rbac": {"create": False}}, "gets no permissions from this release"),
        ({"networkPolicy": {"enabled": False}}, "WARNING: nothing limits what the operator's pods"),
    ],
)
def test_notes_tell_what_is_next_and_what_matters(values: Json, said: str) -> None:
    assert said in notes(**values)
    if values:
        assert said not in notes()


def test_notes_have_no_warning_for_the_defaults() -> None:
    assert "WARNING" not in notes()
    assert "guardrails" not in notes(guardrails={"enabled": True, "maxReplicas": 3})
    assert "helm test" not in notes(helmTest={"enabled": False})


def test_what_artifact_hub_is_told_is_true() -> None:
    annotations = ABOUT["annotations"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    images = {one["name"]: one["image"] for one in yaml.safe_load(annotations["artifacthub.io/images"])}
    wanted = {
        "operator": values["image"],
        "server": values["server"]["image"],
        "qdrant": values["qdrant"]["image"],
    }
    assert images == {
        name: f"{one['repository']}:{one['tag'] or ABOUT['appVersion']}" for name, one in wanted.items()
    }
    (crd,) = yaml.safe_load(annotations["artifacthub.io/crds"])
    source = yaml.safe_load((CHART / "files" / "flamemcpservers.yaml").read_text())
    assert (crd["name"], crd["kind"]) == (source["metadata"]["name"], source["spec"]["names"]["kind"])
    assert crd["version"] == source["spec"]["versions"][0]["name"]
    for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"]):
        placed = {**example["metadata"], "namespace": "default", "uid": "1"}
        parse_server({**example, "metadata": placed}, forbid_unknown=True)
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert {one["kind"] for one in yaml.safe_load(annotations["artifacthub.io/changes"])} <= kinds
    assert {"home", "icon", "sources", "maintainers", "kubeVersion"} <= ABOUT.keys()
    icon = ABOUT["icon"].partition("/main/")[2]
    assert (CHARTS.parent / icon).read_text().startswith("<svg ")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("control-plane")) as found:
        for crd in (foreign.SERVICE_MONITORS, RULES):
            found.kubectl("apply", "--server-side", "-f", str(foreign.definition(*crd)))
        for name in ("games", "team-a", "team-b"):
            found.kubectl("create", "namespace", name)
        yield found


Helm = Callable[..., str]


@pytest.fixture
def on_plane(plane: ControlPlane) -> Helm:
    def run(*arguments: str, values: Json | None = None) -> str:
        done = run_helm(*arguments, f"--kubeconfig={plane.kubeconfig}", values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def exists(plane: ControlPlane, *what: str) -> bool:
    return plane.kubectl("get", *what, check=False).returncode == 0


def test_a_release_from_its_beginning_to_its_end(plane: ControlPlane, on_plane: Helm) -> None:
    """The servers come with the second pass, and neither they nor the CRD go with the release."""
    values: Json = {"servers": {"docs": {"namespace": "games", "spec": {"replicas": 3}}}}
    where = ("flame", str(CHART), "-n", SYSTEM)
    said = on_plane("install", *where, "--create-namespace", values=values)
    assert "Run helm upgrade once more" in said
    established = ("wait", "--for=condition=Established", "crd/flamemcpservers.flamemcp.dev")
    wait_for("the CRD", lambda: plane.kubectl(*established, check=False).returncode == 0, timeout=60)
    assert not exists(plane, "fmcp", "docs", "-n", "games")

    # The cluster's own roles take the aggregated ones in.
    plane.kubectl("create", "rolebinding", "tenant", "--clusterrole=edit", "--user=tenant", "-n", "games")
    plane.kubectl("create", "rolebinding", "guest", "--clusterrole=view", "--user=guest", "-n", "games")

    def may(user: str, verb: str, subresource: str = "") -> bool:
        asked = ("auth", "can-i", verb, "fmcp", f"--subresource={subresource}", "-n", "games", f"--as={user}")
        return plane.kubectl(*asked, check=False).stdout.strip() == "yes"

    wait_for("the roles to be aggregated", lambda: may("tenant", "create"), timeout=30)
    wait_for("the roles to be aggregated", lambda: may("guest", "get"), timeout=30)
    assert may("tenant", "patch", "scale")
    assert not may("tenant", "patch", "status")
    assert not may("guest", "create")

    assert "kubectl get fmcp -A" in on_plane("upgrade", *where, values=values)
    found = json.loads(plane.kubectl("get", "fmcp", "docs", "-n", "games", "-o", "json").stdout)
    assert found["spec"]["replicas"] == 3
    on_plane("uninstall", "flame", "-n", SYSTEM)
    assert exists(plane, "fmcp", "docs", "-n", "games")
    assert exists(plane, "crd", "flamemcpservers.flamemcp.dev")
    assert not exists(plane, "deployment", "flame-flame-mcp-operator", "-n", SYSTEM)
    plane.kubectl("delete", "fmcp", "docs", "-n", "games")


@pytest.mark.parametrize(
    "path", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.name.partition("-")[0]
)
def test_the_api_server_takes_every_object(plane: ControlPlane, path: Path) -> None:
    plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", str(CHART / "files" / "flamemcpservers.yaml")
    )
    known = ("--api-versions", "flamemcp.dev/v1alpha1/FlameMCPServer")
    objects = render(CHART, None, "-n", SYSTEM, "--values", str(path), *known)
    assert len(objects) > 10
    if not exists(plane, "namespace", SYSTEM):
        plane.kubectl("create", "namespace", SYSTEM)
    dry = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    done = plane.kubectl(*dry, input=yaml.safe_dump_all(objects), check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
