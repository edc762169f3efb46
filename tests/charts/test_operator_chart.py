"""The operator's chart, rendered by the real helm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from flame_operator.defaults import defaults_of
from flame_operator.resource.spec.common import KeyRef
from flame_operator.resource.spec.workload import Egress, Metadata, Proxy
from flame_operator.settings import Settings
from tests.support.charts.helm_cli import OPERATOR_CHART as CHART
from tests.support.charts.operator_chart import bound_role, container, environment, of_kind, render, rights

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def test_the_crd_is_the_one_of_the_repository() -> None:
    assert (CHART / "files" / "flamemcpservers.yaml").read_text() == (
        ROOT / "crds" / "flamemcpservers.yaml"
    ).read_text(), "run: cp crds/flamemcpservers.yaml helm/flame-mcp-operator/files/"
    (crd,) = of_kind(render(), "CustomResourceDefinition")
    assert crd["metadata"].pop("annotations")["helm.sh/resource-policy"] == "keep"
    source = yaml.safe_load((ROOT / "crds" / "flamemcpservers.yaml").read_text())
    source["metadata"].pop("annotations", None)
    assert crd == source


def test_the_crd_is_optional_and_may_go_with_the_release() -> None:
    assert not of_kind(render("--set", "crds.enabled=false"), "CustomResourceDefinition")
    (crd,) = of_kind(render("--set", "crds.keep=false"), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})


def test_a_list_of_namespaces_needs_no_cluster_role() -> None:
    documents = render("--set", "watchNamespaces={one,two},crds.enabled=false")
    assert not of_kind(documents, "ClusterRole")
    assert not of_kind(documents, "ClusterRoleBinding")
    for kind in ("Role", "RoleBinding"):
        assert [document["metadata"]["namespace"] for document in of_kind(documents, kind)] == [
            "flame-mcp-system",
            "one",
            "two",
        ]
    assert container(documents)["args"] == ["run", "--namespace=one", "--namespace=two"]


CHILD = {"get", "list", "watch", "create", "patch"}
RIGHTS = {
    "flamemcp.dev/flamemcpservers": {"list", "watch"},
    "flamemcp.dev/flamemcpservers/status": {"patch"},
    "flamemcp.dev/flamemcpservers/finalizers": {"update"},
    "/configmaps": CHILD,
    "/serviceaccounts": CHILD,
    "/services": CHILD | {"delete"},
    "apps/deployments": CHILD,
    "apps/statefulsets": CHILD | {"delete"},
    "batch/jobs": CHILD | {"delete"},
    # By name alone, to make them larger.
    "/persistentvolumeclaims": {"get", "patch"},
    "networking.k8s.io/networkpolicies": CHILD | {"delete"},
    "networking.k8s.io/ingresses": CHILD | {"delete"},
    "policy/poddisruptionbudgets": CHILD | {"delete"},
    "autoscaling/horizontalpodautoscalers": CHILD | {"delete"},
    # Neither list nor watch: nobody who gets hold of the operator reads all Secrets.
    "/secrets": {"get", "create", "patch", "delete"},
    "/pods": {"list"},
    # Listed only to say why pods are not made or do not start.
    "/events": {"list", "create", "patch"},
}
OWN_RIGHTS = {
    "coordination.k8s.io/leases": {"create"},
    "coordination.k8s.io/leases flame-flame-mcp-operator": {"get", "update"},
    "/secrets": {"create"},
    "/secrets flame-mcp-operator-key": {"get", "patch"},
}


def test_the_rights_are_these_and_no_more() -> None:
    documents = render()
    assert rights(bound_role(documents)) == RIGHTS
    (own,) = of_kind(documents, "Role")
    assert rights(own) == OWN_RIGHTS


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ("rbac.aggregate=false", {"ClusterRole", "flame-mcp-system"}),
        ("rbac.aggregate=false,watchNamespaces={one,two}", {"flame-mcp-system", "one", "two"}),
    ],
)
def test_both_modes_give_the_same_few_rights_and_nothing_dangerous(values: str, where: set[str]) -> None:
    documents = render("--set", values)
    roles = [*of_kind(documents, "ClusterRole"), *of_kind(documents, "Role")]
    assert {role["metadata"].get("namespace", "ClusterRole") for role in roles} == where
    assert len(roles) == len(where)
    for role in roles:
        found = rights(role)
        assert found == (OWN_RIGHTS if role["metadata"]["name"].endswith("-own") else RIGHTS)
        # Raise these numbers only for a right that tests/cluster/test_harmless.py shows to be used.
        assert sum(map(len, found.values())) == (6 if found == OWN_RIGHTS else 71)
        assert not set().union(*found.values()) & {"*", "bind", "escalate", "impersonate", "deletecollection"}
        kinds = {key.partition(" ")[0] for key in found}
        assert not {kind for kind in kinds if "*" in kind or "rbac." in kind or "admission" in kind}
        assert not kinds & {"/pods/exec", "/pods/log", "/pods/attach", "/serviceaccounts/token", "/nodes"}
        assert not found["/secrets"] & {"list", "watch"}


def test_rights_to_optional_kinds_come_with_their_switch() -> None:
    switched = {
        "httpRoutes": "gateway.networking.k8s.io/httproutes",
        "serviceMonitors": "monitoring.coreos.com/servicemonitors",
    }
    for value, resource in switched.items():
        documents = render("--set", f"{value}.enabled=true")
        assert rights(bound_role(documents)) == {
            **RIGHTS,
            resource: {"get", "list", "create", "patch", "delete"},
        }
        variable = {"httpRoutes": "HTTP_ROUTES", "serviceMonitors": "SERVICE_MONITORS"}[value]
        assert environment(documents)[f"FLAME_OPERATOR_{variable}"] == "true"


def test_a_selector_of_namespaces_needs_to_see_them() -> None:
    given = {
        "matchLabels": {"team": "games", "example.com/tier": ""},
        "matchExpressions": [
            {"key": "env", "operator": "In", "values": ["prod", "test"]},
            {"key": "size", "operator": "NotIn", "values": ["xl"]},
            {"key": "example.com/docs", "operator": "Exists"},
            {"key": "left-alone", "operator": "DoesNotExist"},
        ],
    }
    documents = render("--set-json", f"namespaceSelector={json.dumps(given)}")
    assert rights(bound_role(documents)) == {**RIGHTS, "/namespaces": {"list", "watch"}}
    assert environment(documents)["FLAME_OPERATOR_NAMESPACE_SELECTOR"] == (
        "example.com/tier=,team=games,env in (prod,test),size notin (xl),example.com/docs,!left-alone"
    )
    assert "FLAME_OPERATOR_NAMESPACE_SELECTOR" not in environment(render())


def test_two_pods_take_turns_and_survive_a_drain() -> None:
    documents = render()
    (deployment,) = of_kind(documents, "Deployment")
    spec = deployment["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["type"] == "RollingUpdate"
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == spec["selector"]
    (budget,) = of_kind(documents, "PodDisruptionBudget")
    assert budget["spec"] == {"maxUnavailable": 1, "selector": spec["selector"]}
    assert environment(documents)["FLAME_OPERATOR_LEASE_NAME"] == "flame-flame-mcp-operator"
    assert not of_kind(render("--set", "replicas=1"), "PodDisruptionBudget")


def test_probes_and_metrics_have_their_ports() -> None:
    found = container(render("--set", "metricsPort=9191"))
    assert {port["name"]: port["containerPort"] for port in found["ports"]} == {
        "health": 8080,
        "metrics": 9191,
    }
    paths = {probe: found[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe: get["path"] for probe, get in paths.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {get["port"] for get in paths.values()} == {"health"}
    off = container(render("--set", "metricsPort=0"))
    assert [port["name"] for port in off["ports"]] == ["health"]


def test_the_pod_starts_with_settings_that_the_operator_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "resyncSeconds": 86400,
        "metricsPort": 9191,
        "verificationsPerSecond": 0.5,
        "referencePollSeconds": 86400,
        "rolloutParallelism": 7,
        "ingestionParallelism": 11,
        "eventsPerSecond": 2.5,
        "dnsPorts": "[1053,53]",
        "openshift.enabled": "true",
        "server.labels": '{"team":"games"}',
        "server.annotations": '{"a/b":"{\\"c\\": 1}"}',
        "server.podLabels": '{"sidecar.istio.io/inject":"false"}',
        "server.podAnnotations": '{"a/b":"{\\"c\\": 1}"}',
        "server.egress": '{"proxy":{"http":"http://p:1","https":"http://p:2","noProxy":["a",".b"]},'
        '"caBundleConfigMapRef":{"name":"ca"}}',
        "server.imagePullSecrets": '[{"name":"registry"},{"name":"mirror"}]',
    }
    documents = render(
        *(word for name, value in values.items() for word in ("--set-json", f"{name}={value}"))
    )
    fields = {
        entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"]
        for entry in container(documents)["env"]
        if "valueFrom" in entry
    }
    assert fields == {
        "FLAME_OPERATOR_NAMESPACE": "metadata.namespace",
        "FLAME_OPERATOR_POD_NAME": "metadata.name",
    }
    given = environment(documents)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert {name.removeprefix("FLAME_OPERATOR_").lower() for name in given} <= set(Settings.model_fields)
    assert (settings.resync_seconds, settings.metrics_port, settings.rollout_parallelism) == (86400, 9191, 7)
    assert (settings.verifications_per_second, settings.events_per_second) == (0.5, 2.5)
    assert settings.reference_poll_seconds == 86400
    assert settings.ingestion_parallelism == 11
    assert settings.image_pull_secrets == ("registry", "mirror")
    defaults = defaults_of(settings)
    assert defaults.metadata == Metadata(labels={"team": "games"}, annotations={"a/b": '{"c": 1}'})
    assert defaults.dns_ports == (1053, 53)
    assert defaults.fixed_users is False
    assert defaults.pod_template == Metadata(
        labels={"sidecar.istio.io/inject": "false"}, annotations={"a/b": '{"c": 1}'}
    )
    assert defaults.egress == Egress(
        proxy=Proxy(http="http://p:1", https="http://p:2", no_proxy=("a", ".b")),
        ca_bundle_config_map_ref=KeyRef(name="ca", key="ca.crt"),
    )
    assert settings.qdrant_image == "qdrant/qdrant:v1.19.1-unprivileged"


def test_images_by_tag_and_by_digest() -> None:
    digest = "sha256:" + "0" * 64
    found = container(render("--set", f"image.digest={digest}", "--set", "server.image.tag=v7"))
    assert found["image"] == f"flame-mcp/operator@{digest}"
    images = {item["name"]: item.get("value") for item in found["env"]}
    assert images["FLAME_OPERATOR_SERVER_IMAGE"] == "flame-mcp/server:v7"


def test_the_pod_is_restricted() -> None:
    documents = render()
    (deployment,) = of_kind(documents, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(documents)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
