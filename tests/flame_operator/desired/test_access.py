# ruff: noqa: ANN401 - JSON values
"""Ways in and out: Service, Secret, NetworkPolicy, Ingress, HTTPRoute; and what scales."""

from dataclasses import replace
from typing import Any

import pytest

from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.network_policy import OPERATOR_LABELS
from flame_operator.resource.kinds import GROUP, Manifest
from tests.support.operator.children import (
    DEFAULTS,
    TOKEN,
    children,
    children_of,
    facts,
    parse,
)

POD = {"podSelector": {"matchLabels": {"role": "client"}}}


def test_users_annotations_never_pass_for_the_operators() -> None:
    forged = {f"{GROUP}/owns-secret": "true", "example.com/team": "games"}
    one = parse(
        service={"annotations": forged},
        serviceAccount={"annotations": forged},
        ingress={"host": "a.example", "annotations": forged},
    )
    for kind in ("Service", "ServiceAccount", "Ingress"):
        annotations = children_of(one)[kind]["metadata"]["annotations"]
        assert "flamemcp.dev/owns-secret" not in annotations
        assert annotations["example.com/team"] == "games"


@pytest.mark.parametrize(
    ("auth", "generated"),
    [
        ({}, False),
        ({"type": "Bearer"}, True),
        ({"type": "Bearer", "bearer": {}}, True),
        ({"type": "Bearer", "bearer": {"tokenSecretRef": {"name": "a", "key": "b"}}}, False),
        ({"type": "OIDC", "oidc": {"issuer": "https://a.example", "audience": "b"}}, False),
        ({"type": "None", "bearer": {}}, False),
    ],
)
def test_a_secret_is_made_for_a_bearer_token_that_the_user_does_not_bring(
    auth: dict[str, Any], generated: bool
) -> None:
    assert ("Secret" in children(auth=auth)) == generated


def test_the_secret_is_never_left_out_because_its_token_is_not_known() -> None:
    with pytest.raises(ValueError, match="has to be known"):
        desired_children(parse(auth={"type": "Bearer"}), DEFAULTS, Facts())


def test_metrics_are_not_on_the_service_but_prometheus_finds_them() -> None:
    wanted = children(
        service={"type": "LoadBalancer", "port": 9090},
        observability={
            "serviceMonitor": {"type": "Enabled", "labels": {"app.kubernetes.io/instance": "x", "a": "b"}}
        },
    )
    assert [port["name"] for port in wanted["Service"]["spec"]["ports"]] == ["http"]
    monitor = wanted["ServiceMonitor"]
    ports = wanted["Deployment"]["spec"]["template"]["spec"]["containers"][0]["ports"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert {port["name"]: port["containerPort"] for port in ports}[endpoint["targetPort"]] == 9090
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= wanted["Service"]["metadata"]["labels"].items()
    )
    assert monitor["metadata"]["labels"]["a"] == "b"
    assert monitor["metadata"]["labels"]["app.kubernetes.io/instance"] == "docs"


def allowed(rules: list[Manifest]) -> list[tuple[Any, list[int]]]:
    return [(rule.get("from"), [port["port"] for port in rule["ports"]]) for rule in rules]


def test_everybody_reaches_the_two_ports_unless_the_user_says_who() -> None:
    def ingress(defaults: Defaults = DEFAULTS, **policy: Any) -> list[tuple[Any, list[int]]]:
        found = children_of(parse(networkPolicy=policy), defaults)["NetworkPolicy"]["spec"]
        assert found["policyTypes"] == ["Ingress", "Egress"]
        return allowed(found["ingress"])

    assert ingress() == [(None, [8000, 9090])]
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "flame-mcp-system"}},
        "podSelector": {"matchLabels": OPERATOR_LABELS},
    }
    assert ingress(ingressFrom=[POD]) == [([POD], [8000, 9090]), ([operator], [8000])]
    assert ingress(Defaults(image="x:1"), ingressFrom=[POD]) == [([POD], [8000, 9090])]


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}}, {"podSelector": {}}),
        ({"namespaceSelector": {}, **POD}, {"namespaceSelector": {}, **POD}),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
        ),
    ],
)
def test_an_empty_selector_is_everything_and_an_absent_one_is_not_sent(
    peer: dict[str, Any], expected: Manifest
) -> None:
    policy = children(networkPolicy={"ingressFrom": [peer], "egressTo": [peer]})["NetworkPolicy"]["spec"]
    assert policy["ingress"][0]["from"] == [expected]
    assert policy["egress"][-1] == {"to": [expected]}


def test_without_endpoints_only_names_can_be_looked_up() -> None:
    (rule,) = children()["NetworkPolicy"]["spec"]["egress"]
    assert rule == dns_rule(53, 5353)


def dns_rule(*ports: int) -> Manifest:
    return {"ports": [{"protocol": name, "port": port} for port in ports for name in ("UDP", "TCP")]}


@pytest.mark.parametrize("ports", [(53, 5353), (1053,)])
def test_every_policy_lets_out_dns_at_the_ports_of_the_installation(ports: tuple[int, ...]) -> None:
    one = parse(
        vectorStore={"type": "Managed"},
        ingestion={"sources": [{"name": "docs", "git": {"url": "https://git.example/docs"}}]},
    )
    wanted = desired_children(one, replace(DEFAULTS, dns_ports=ports), facts(one))
    policies = [child for child in wanted if child["kind"] == "NetworkPolicy"]
    assert len(policies) == 3
    assert all(dns_rule(*ports) in policy["spec"]["egress"] for policy in policies)


def test_the_users_own_ways_out_come_with_their_ports() -> None:
    policy = children(networkPolicy={"egressTo": [{**POD, "ports": [{"port": 53, "protocol": "UDP"}]}]})
    assert policy["NetworkPolicy"]["spec"]["egress"][1:] == [
        {"to": [POD], "ports": [{"protocol": "UDP", "port": 53}]}
    ]


def test_the_server_answers_to_all_its_names_and_no_other() -> None:
    wanted = children(
        ingress={"host": "flame.example"},
        httpRoute={"parentRefs": [{"name": "g"}], "hostnames": ["*.docs.example", "flame.example"]},
    )
    assert wanted["ConfigMap"]["data"]["FLAME_MCP_ALLOWED_HOSTS"].split(",") == [
        "docs",
        "docs.team",
        "docs.team.svc",
        "docs.team.svc.cluster.local",
        "flame.example",
        "*.docs.example",
    ]


def settings_of(**spec: Any) -> dict[str, str]:
    data: dict[str, str] = children(**spec)["ConfigMap"]["data"]
    return data


OIDC = {"type": "OIDC", "oidc": {"issuer": "https://login.example.com", "audience": "flame"}}
BEARER: dict[str, Any] = {"auth": {"type": "Bearer"}}
ROUTE: dict[str, Any] = {"httpRoute": {"parentRefs": [{"name": "g"}]}}
LOAD_BALANCER: dict[str, Any] = {"service": {"type": "LoadBalancer"}}
INGRESS: dict[str, Any] = {"ingress": {"host": "flame.example"}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        (BEARER, []),
        # Names that nobody knows beforehand, only where a token keeps rebound pages out.
        (LOAD_BALANCER, []),
        ({**LOAD_BALANCER, **BEARER}, ["*"]),
        ({"service": {"type": "NodePort"}, **BEARER}, ["*"]),
        (ROUTE, []),
        ({**ROUTE, **BEARER}, ["*"]),
        ({**BEARER, "httpRoute": {"parentRefs": [{"name": "g"}], "hostnames": ["a.example"]}}, ["a.example"]),
        ({"service": {"hostnames": ["a.example", "*.b.example"]}}, ["a.example", "*.b.example"]),
        (
            {
                "service": {
                    "hostnames": ["a.example"],
                    "annotations": {
                        "external-dns.alpha.kubernetes.io/hostname": "B.example, a.example,,x_y,*.c.example",
                        "external-dns.alpha.kubernetes.io/internal-hostname": "d.example",
                        "example.com/hostname": "e.example",
                    },
                }
            },
            ["a.example", "b.example", "*.c.example", "d.example"],
        ),
    ],
)
def test_the_names_of_every_way_in_are_known(spec: dict[str, Any], expected: list[str]) -> None:
    assert settings_of(**spec)["FLAME_MCP_ALLOWED_HOSTS"].split(",")[4:] == expected


def test_the_cluster_may_have_a_domain_of_its_own() -> None:
    defaults = Defaults(image="x:1", cluster_domain="corp.example")
    data = children_of(parse(), defaults)["ConfigMap"]["data"]
    assert data["FLAME_MCP_ALLOWED_HOSTS"].split(",")[3] == "docs.team.svc.corp.example"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, None),
        (LOAD_BALANCER, None),
        (INGRESS, "private"),
        ({**ROUTE, **BEARER}, "private"),
        # Nodes pass on what comes from outside, with addresses of their own.
        ({**INGRESS, **LOAD_BALANCER}, None),
        ({**INGRESS, "trustedProxies": ["10.1.0.0/16", "fd00::/8"]}, "10.1.0.0/16,fd00::/8"),
    ],
)
def test_whose_word_counts_for_a_clients_address(spec: dict[str, Any], expected: str | None) -> None:
    assert settings_of(**spec).get("FLAME_MCP_TRUSTED_PROXIES") == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", None),
        ("/mcp", None),
        ("/mcp/", None),
        ("//mcp", None),
        ("/flame", "/flame"),
        ("/flame/", "/flame"),
        ("/a/b/mcp", "/a/b"),
    ],
)
def test_the_server_answers_below_the_ingress_path(path: str, expected: str | None) -> None:
    settings = settings_of(ingress={"host": "flame.example", "path": path})
    assert settings.get("FLAME_MCP_PATH_PREFIX") == expected


@pytest.mark.parametrize(
    ("path", "auth", "expected"),
    [
        ("/", OIDC, ["/"]),
        ("/flame", BEARER["auth"], ["/flame"]),
        ("/flame/", OIDC, ["/flame/", "/.well-known/oauth-protected-resource/flame"]),
        ("/mcp", OIDC, ["/mcp", "/.well-known/oauth-protected-resource/mcp"]),
    ],
)
def test_an_ingress_below_a_path_leads_to_the_metadata_of_oidc(
    path: str, auth: dict[str, Any], expected: list[str]
) -> None:
    (rule,) = children(auth=auth, ingress={"host": "flame.example", "path": path})["Ingress"]["spec"]["rules"]
    assert [one["path"] for one in rule["http"]["paths"]] == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, 1),
        ({"replicas": 2, "podDisruptionBudget": {"maxUnavailable": 2}}, 2),
        ({"podDisruptionBudget": {"maxUnavailable": "30%"}}, "30%"),
        ({"autoscaling": {"minReplicas": 1}}, None),
        ({"autoscaling": {"minReplicas": 2}}, 1),
        ({"replicas": 0}, None),
    ],
)
def test_a_disruption_budget_for_more_than_one_pod(spec: dict[str, Any], expected: int | str | None) -> None:
    budget = children(**spec).get("PodDisruptionBudget")
    assert (budget["spec"]["maxUnavailable"] if budget else None) == expected


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ({}, {"cpu": 75}),
        ({"targetCPUUtilizationPercentage": 50}, {"cpu": 50}),
        ({"targetMemoryUtilizationPercentage": 90}, {"memory": 90}),
        (
            {"targetCPUUtilizationPercentage": 50, "targetMemoryUtilizationPercentage": 90},
            {"cpu": 50, "memory": 90},
        ),
    ],
)
def test_an_autoscaler_has_at_least_one_target(targets: dict[str, int], expected: dict[str, int]) -> None:
    found = children(autoscaling=targets)["HorizontalPodAutoscaler"]["spec"]["metrics"]
    resources = [metric["resource"] for metric in found]
    assert {each["name"]: each["target"]["averageUtilization"] for each in resources} == expected


def test_the_token_is_what_the_operator_knows() -> None:
    assert children(auth={"type": "Bearer"})["Secret"]["data"] == {"token": TOKEN}
