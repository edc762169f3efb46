"""The parts of the operator's chart beside the operator's pod: what each switch makes."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flame_operator.desired.naming import HTTP_PORT, selector_labels
from flame_operator.resource.kinds import SERVER
from tests.support.charts import helm_cli
from tests.support.charts.helm_cli import OPERATOR_CHART as CHART
from tests.support.charts.helm_cli import run_helm, template
from tests.support.charts.operator_chart import of_kind, rights

CI = sorted((CHART / "ci").glob("*-values.yaml"))
KNOWN = ("--api-versions", f"{SERVER.api_version}/{SERVER.kind}")
SYSTEM = ("--namespace", "flame-mcp-system")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

Json = dict[str, Any]


def render(values: Json | None = None, *arguments: str, release: str = "flame") -> list[Json]:
    return helm_cli.render(CHART, values, *SYSTEM, *arguments, release=release)


def one(documents: list[Json], kind: str) -> Json:
    (found,) = of_kind(documents, kind)
    return found


@pytest.mark.parametrize("path", CI, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_values_of_ci_are_clean(path: Path) -> None:
    done = run_helm("lint", "--strict", CHART, "--values", path)
    assert done.returncode == 0, done.stdout + done.stderr
    # Lint lets `fail` pass.
    assert template(CHART, {}, "--values", str(path), *SYSTEM, *KNOWN).returncode == 0


def test_roles_are_aggregated_to_those_of_the_cluster() -> None:
    roles = {role["metadata"]["name"].rpartition("-")[2]: role for role in of_kind(render(), "ClusterRole")}
    to = "rbac.authorization.k8s.io/aggregate-to-"
    aggregated = {
        name: {label.removeprefix(to) for label in role["metadata"]["labels"] if label.startswith(to)}
        for name, role in roles.items()
    }
    assert aggregated == {"operator": set(), "view": {"view"}, "edit": {"edit", "admin"}}
    servers, read = "flamemcp.dev/flamemcpservers", {"get", "list", "watch"}
    assert rights(roles["view"]) == {servers: read, f"{servers}/status": {"get"}, f"{servers}/scale": {"get"}}
    assert rights(roles["edit"]) == {
        servers: read | {"create", "update", "patch", "delete", "deletecollection"},
        f"{servers}/status": {"get"},
        f"{servers}/scale": {"get", "update", "patch"},
    }


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"rbac": {"aggregate": False}}, 0),
        ({"rbac": {"create": False}}, 0),
        ({"watchNamespaces": ["one"]}, 2),  # beside the CRD, and bound to nobody
        ({"watchNamespaces": ["one"], "crds": {"enabled": False}}, 0),
        ({"crds": {"enabled": False}}, 2),
    ],
)
def test_aggregated_roles_come_with_what_is_cluster_wide_anyway(values: Json, count: int) -> None:
    names = [role["metadata"]["name"] for role in of_kind(render(values), "ClusterRole")]
    assert len([name for name in names if name.endswith(("-view", "-edit"))]) == count
    if values.get("watchNamespaces"):
        assert not of_kind(render(values), "ClusterRoleBinding")


def test_common_labels_and_annotations_are_on_everything_but_the_crd() -> None:
    values = {
        "commonLabels": {"team": "games"},
        "commonAnnotations": {"example.com/contact": "games"},
        "podLabels": {"tier": "one"},
        "podAnnotations": {"example.com/scan": "no"},
        "serviceMonitor": {"enabled": True},
        "grafanaDashboard": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "guardrails": {"enabled": True, "maxReplicas": 3},
        "servers": {"docs": {}},
    }
    documents = [one for one in render(values, *KNOWN) if one["kind"] != "CustomResourceDefinition"]
    assert len(documents) > 15
    for document in documents:
        metadata = document["metadata"]
        assert metadata["labels"]["team"] == "games", document
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert metadata["annotations"]["example.com/contact"] == "games", document
    pod = one(documents, "Deployment")["spec"]["template"]["metadata"]
    assert pod["annotations"] == {"example.com/scan": "no"}
    assert (pod["labels"]["team"], pod["labels"]["tier"]) == ("games", "one")


def egress_ports(policy: Json) -> list[set[int]]:
    return [{port["port"] for port in rule["ports"]} for rule in policy["spec"]["egress"]]


def test_the_operator_is_reached_on_two_ports_and_reaches_three_things() -> None:
    documents = render()
    policy = one(documents, "NetworkPolicy")["spec"]
    assert policy["podSelector"] == one(documents, "Deployment")["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in policy["ingress"]] == [[8080], [9090]]
    dns, api_server, servers = policy["egress"]
    lookups = {(protocol, port) for protocol in ("UDP", "TCP") for port in (53, 5353)}
    assert {(port["protocol"], port["port"]) for port in dns["ports"]} == lookups
    assert {443, 6443} <= {port["port"] for port in api_server["ports"]}
    assert "to" not in api_server
    assert [port["port"] for port in servers["ports"]] == [HTTP_PORT]
    # Labels that the operator gives to servers' pods.
    (peer,) = servers["to"]
    assert peer["namespaceSelector"] == {}
    assert peer["podSelector"]["matchLabels"].items() <= selector_labels("any").items()


def test_the_network_policy_is_as_narrow_as_is_known() -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    extra = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}
    values = {
        "watchNamespaces": ["one", "two"],
        "networkPolicy": {
            "metricsFrom": peers,
            "apiServer": {"ports": [7443], "cidrs": ["10.0.0.1/32"]},
            "extraEgress": [extra],
        },
    }
    policy = one(render(values), "NetworkPolicy")["spec"]
    assert policy["ingress"][1]["from"] == peers
    _, api_server, servers, last = policy["egress"]
    assert api_server["ports"] == [{"protocol": "TCP", "port": 7443}]
    assert api_server["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    (namespaces,) = servers["to"][0]["namespaceSelector"]["matchExpressions"]
    assert namespaces["values"] == ["one", "two"]
    assert last == extra
    without = one(render({"metricsPort": 0}), "NetworkPolicy")["spec"]
    assert [[port["port"] for port in rule["ports"]] for rule in without["ingress"]] == [[8080]]
    assert not of_kind(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy")


@pytest.mark.parametrize(
    ("values", "spec"),
    [
        ({}, {"maxUnavailable": 1}),
        ({"maxUnavailable": "50%"}, {"maxUnavailable": "50%"}),
        ({"minAvailable": 1}, {"minAvailable": 1}),
        ({"minAvailable": 0}, {"minAvailable": 0}),
    ],
)
def test_the_disruption_budget(values: Json, spec: Json) -> None:
    found = one(render({"podDisruptionBudget": values}), "PodDisruptionBudget")["spec"]
    assert found.pop("selector")
    assert found == spec


def test_no_disruption_budget_where_it_is_switched_off() -> None:
    assert not of_kind(render({"podDisruptionBudget": {"enabled": False}}), "PodDisruptionBudget")


def test_where_pods_run() -> None:
    spread = [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
    values = {
        "topologySpreadConstraints": spread,
        "priorityClassName": "high",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    pod = one(render(values), "Deployment")["spec"]["template"]["spec"]
    assert {name: pod[name] for name in values} == values


def test_the_metrics_service_finds_the_operators_pods_and_its_monitor_finds_it() -> None:
    documents = render({"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    service, monitor = one(documents, "Service"), one(documents, "ServiceMonitor")
    assert service["spec"]["selector"] == one(documents, "Deployment")["spec"]["selector"]["matchLabels"]
    assert service["spec"]["clusterIP"] == "None"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "30s"}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert not of_kind(render(), "ServiceMonitor")
    assert not of_kind(render({"metricsPort": 0}), "Service")
    assert not of_kind(render({"metrics": {"service": {"enabled": False}}}), "Service")


def test_servers_wait_until_the_kind_is_known() -> None:
    values = {"servers": {"docs": {"spec": {"replicas": 3}}, "more": {"namespace": "games"}, "bare": None}}
    names = partial(map, lambda document: (document["metadata"]["namespace"], document["metadata"]["name"]))
    found = [
        one
        for one in of_kind(render(values, *KNOWN), "FlameMCPServer")
        if one["metadata"]["name"] in values["servers"]
    ]
    assert set(names(found)) == {
        ("flame-mcp-system", "docs"),
        ("games", "more"),
        ("flame-mcp-system", "bare"),
    }
    assert {one["metadata"]["name"]: one["spec"] for one in found} == {
        "docs": {"replicas": 3},
        "more": {},
        "bare": {},
    }
    assert {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in found} == {"keep"}
    assert not set(values["servers"]) & {name for _, name in names(of_kind(render(values), "FlameMCPServer"))}


def test_servers_go_with_the_release_if_you_say_so_and_are_in_watched_namespaces() -> None:
    values = {"watchNamespaces": ["b", "a"], "servers": {"docs": {}}, "keepServers": False}
    found = [
        one for one in of_kind(render(values, *KNOWN), "FlameMCPServer") if one["metadata"]["name"] == "docs"
    ]
    assert [one["metadata"]["namespace"] for one in found] == ["b"]
    assert "annotations" not in found[0]["metadata"]


@pytest.mark.parametrize("release", ["flame", "1.2", "a" * 53, "x." * 20 + "x"])
def test_helm_test_asks_a_server_of_its_own_whatever_the_release_is_called(release: str) -> None:
    documents = render({"watchNamespaces": ["one"]}, release=release)
    server, pod = one(documents, "FlameMCPServer"), one(documents, "Pod")
    name = server["metadata"]["name"]
    assert len(name) <= 40
    assert name[0].isalpha()
    assert name.endswith("-test")
    assert "." not in name
    service = one(documents, "Service")["metadata"]["name"]
    assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", service)
    assert service.endswith("-metrics")
    for weight, hook in enumerate((server, pod)):
        assert hook["metadata"]["namespace"] == "one"
        assert hook["metadata"]["annotations"] == {
            "helm.sh/hook": "test",
            "helm.sh/hook-weight": str(weight),
            "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
        }
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "flame-mcp/server:0.1.0"
    assert container["args"][:2] == ["ask", f"--url=http://{name}.one.svc/mcp"]
    assert not of_kind(render({"helmTest": {"enabled": False}}), "Pod")


def test_the_test_pod_is_restricted_and_no_pod_of_the_operators() -> None:
    documents = render({"server": {"imagePullSecrets": [{"name": "registry"}]}})
    pod = one(documents, "Pod")
    selector = one(documents, "Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= pod["metadata"]["labels"].items()
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
