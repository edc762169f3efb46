"""Guardrails for what leaves the namespace: hosts, certificates, addresses, gateways, other tenants' pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.harness.paths import REPO
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.dry_run import Client, Store, refused
from tests.support.cluster.guardrails import guard, in_team

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

BOUNDS: Json = {
    "hosts": {
        "enabled": True,
        "allowed": ["{namespace}.example.com"],
        "annotations": ["service.beta.kubernetes.io/aws-load-balancer-type", "prometheus.io/*"],
    },
    "serviceTypes": {"enabled": True, "allowed": ["ClusterIP", "LoadBalancer"]},
    "gateways": {"enabled": True, "allowed": ["{namespace}/*", "infra/public"]},
    "serviceMonitors": {"enabled": True, "allowed": ["release=prometheus"]},
    "priorityClasses": {"enabled": True, "allowed": ["low"]},
    "tolerations": {"enabled": True, "allowed": ["dedicated", "flame.example.com/*"]},
    "affinity": {"enabled": True, "allowed": ["shared"]},
    "podTemplate": {
        "enabled": True,
        "allowed": ["sidecar.istio.io/inject", "example.com/*", "external-dns*"],
    },
}
NOTHING: Json = {
    part: {"enabled": True, "allowed": []} for part in ("env", *BOUNDS) if part != "serviceTypes"
}
LISTED = "guardrails.hosts.annotations"


def ingress(**annotations: str) -> Json:
    return {"ingress": {"host": "TEAM.example.com", "allowUnauthenticated": True, "annotations": annotations}}


def service(**annotations: str) -> Json:
    return {"service": {"annotations": annotations}}


def everywhere(**annotations: str) -> Json:
    return {"metadata": {"annotations": annotations}}


def pods(kind: str = "annotations", **names: str) -> Json:
    return {"podTemplate": {kind: names}}


def route(*gateways: Json) -> Json:
    route = {"hostnames": ["TEAM.example.com"], "parentRefs": list(gateways)}
    return {"auth": {"type": "Bearer"}, "httpRoute": route}


def monitor(**labels: str) -> Json:
    return {"observability": {"serviceMonitor": {"type": "Enabled", "labels": labels}}}


def tolerates(*tolerations: Json) -> Json:
    return {"scheduling": {"tolerations": list(tolerations)}}


def near(kind: str, *, required: bool = True, **where: Any) -> Json:  # noqa: ANN401 - JSON
    """Pods that have to be near, or far from, those of some namespaces."""
    labels = {"matchLabels": {"a": "b"}}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": labels, **where}
    preferred = [{"weight": 1, "podAffinityTerm": term}]
    terms = {"requiredDuringSchedulingIgnoredDuringExecution": [term]} if required else {}
    terms = terms or {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
    return {"scheduling": {"affinity": {kind: terms}}}


ELSEWHERE: list[Json] = [{"namespaces": ["TEAM", "bank"]}, {"namespaceSelector": {}}]
KINDS = ("podAffinity", "podAntiAffinity")
ACCEPTED: list[Json] = [
    {},
    ingress(**{"cert-manager.io/cluster-issuer": "x", "cert-manager.io/common-name": "a.TEAM.example.com"}),
    ingress(**{"external-dns.alpha.kubernetes.io/ttl": "60", "kubernetes.io/tls-acme": "true"}),
    ingress(**{"nginx.ingress.kubernetes.io/proxy-read-timeout": "60"}),
    service(**{"service.beta.kubernetes.io/aws-load-balancer-type": "nlb", "prometheus.io/scrape": "true"}),
    {"auth": {"type": "Bearer"}, "service": {"type": "LoadBalancer"}},
    route({"name": "mine"}, {"name": "other", "namespace": "TEAM"}, {"name": "public", "namespace": "infra"}),
    monitor(),
    monitor(release="prometheus"),
    {"metadata": {"labels": {"release": "bank"}}},
    monitor() | {"metadata": {"labels": {"release": "prometheus"}}},
    everywhere(**{"prometheus.io/scrape": "true"}),
    {"observability": {"serviceMonitor": {"type": "Disabled"}}},
    {"scheduling": {"priorityClassName": "low", "nodeSelector": {"a": "b"}}},
    tolerates({"key": "dedicated", "operator": "Exists"}, {"key": "flame.example.com/gpu", "value": "x"}),
    *(near(kind) for kind in KINDS),
    *(near(kind, required=False, namespaces=["TEAM", "shared"]) for kind in KINDS),
    pods("labels", **{"sidecar.istio.io/inject": "false", "example.com/cost": "a"}),
    pods(
        **{
            "sidecar.istio.io/inject": "false",
            "external-dns.alpha.kubernetes.io/hostname": "TEAM.example.com",
        }
    ),
]
REFUSED: list[tuple[Json, str]] = [
    # Hosts and certificates.
    (ingress(**{"cert-manager.io/common-name": "bank.example.com"}), "may not use the host bank.example.com"),
    (ingress(**{"cert-manager.io/alt-names": "TEAM.example.com, b.org"}), "may not use the host b.org"),
    (ingress(**{"cert-manager.io/ip-sans": "10.0.0.1"}), "cert-manager.io/ip-sans may ask for a host"),
    (ingress(**{"cert-manager.io/uri-sans": "spiffe://bank"}), LISTED),
    (ingress(**{"cert-manager.io/email-sans": "a@bank.org"}), LISTED),
    (ingress(**{"cert-manager.io/subject-organizations": "Bank"}), LISTED),
    (
        ingress(**{"external-dns.alpha.kubernetes.io/hostname": "bank.org."}),
        "may not use the host bank.org.;",
    ),
    (ingress(**{"external-dns.alpha.kubernetes.io/internal-hostname": "b.org"}), "use the host b.org"),
    (ingress(**{"external-dns.alpha.kubernetes.io/aws-zone": "x"}), LISTED),
    (ingress(**{"alb.ingress.kubernetes.io/certificate-arn": "arn:aws:acm:x"}), LISTED),
    (ingress(**{"networking.gke.io/managed-certificates": "bank"}), LISTED),
    (ingress(**{"kubernetes.io/ingress.global-static-ip-name": "bank"}), LISTED),
    (service(**{"external-dns.alpha.kubernetes.io/internal-hostname": "b.org"}), "use the host b.org"),
    # Those of all children are the Service's, too.
    (everywhere(**{"external-dns.alpha.kubernetes.io/hostname": "b.org"}), "use the host b.org"),
    (everywhere(**{"metallb.io/loadBalancerIPs": "10.0.0.1"}), LISTED),
    # external-dns makes names for pods as well.
    (
        pods(**{"external-dns.alpha.kubernetes.io/hostname": "bank.example.com"}),
        "may not use the host bank.example.com",
    ),
    (
        pods(**{"external-dns.alpha.kubernetes.io/internal-hostname": "TEAM.example.com,b.org"}),
        "the host b.org",
    ),
    (pods(**{"external-dns.alpha.kubernetes.io/aws-zone": "x"}), LISTED),
    # Meshes and others put containers into pods, of any image, and attach pods to other networks.
    (
        pods(**{"sidecar.istio.io/proxyImage": "evil.example/x"}),
        "the label or annotation sidecar.istio.io/proxyImage; they may have sidecar.istio.io/inject",
    ),
    (pods(**{"config.linkerd.io/proxy-image": "evil.example/x"}), "config.linkerd.io/proxy-image"),
    (pods(**{"k8s.v1.cni.cncf.io/networks": "bank/db"}), "k8s.v1.cni.cncf.io/networks"),
    (
        pods("labels", **{"Example.com": "x", "example.comx/a": "x"}),
        "annotation Example.com, example.comx/a;",
    ),
    # What else clouds and tools read on a Service: not a list of them, but everything.
    (service(**{"service.beta.kubernetes.io/aws-load-balancer-ssl-cert": "arn"}), LISTED),
    (service(**{"service.beta.kubernetes.io/azure-dns-label-name": "bank"}), LISTED),
    (service(**{"load-balancer.hetzner.cloud/hostname": "bank.org"}), LISTED),
    (service(**{"metallb.io/loadBalancerIPs": "10.0.0.1"}), LISTED),
    (service(**{"tailscale.com/hostname": "bank"}), LISTED),
    (service(**{"zalando.org/dnsname": "bank.org"}), LISTED),
    (service(domainName="bank.org"), "the annotation domainName may ask for a host name"),
    (service(**{"prometheus.io": "x"}), LISTED),
    (
        {"auth": {"type": "Bearer"}, "service": {"type": "NodePort"}},
        "spec.service.type may be one of these: ClusterIP, LoadBalancer",
    ),
    # Gateways.
    (
        route({"name": "private", "namespace": "infra"}),
        "may not use the Gateway infra/private; it may use TEAM/",
    ),
    (route({"name": "public"}, {"name": "public", "namespace": "infra2"}), "the Gateway infra2/public"),
    # Monitors.
    (monitor(release="bank"), "may not have the label release=bank; it may have release=prometheus"),
    (monitor(team="a"), "may not have the label team=a"),
    (monitor() | {"metadata": {"labels": {"release": "bank"}}}, "may not have the label release=bank"),
    # Other tenants' pods.
    (
        {"scheduling": {"priorityClassName": "system-node-critical"}},
        "priority class system-node-critical; it",
    ),
    (
        tolerates({"operator": "Exists"}),
        "may not tolerate taints with every key; it may tolerate dedicated, ",
    ),
    (tolerates({"key": "dedicated"}, {"key": "node-role.kubernetes.io/control-plane"}), "with node-role."),
    (tolerates({"key": "dedicated2", "operator": "Exists"}), "with dedicated2"),
    *(
        (
            near(kind, required=required, **where),
            f"affinity.{kind} may look at pods of its own namespace, shared",
        )
        for kind in KINDS
        for required in (True, False)
        for where in ELSEWHERE
    ),
]
ASKS_FOR_ANY: list[Json] = [
    route({"name": "mine"}),
    monitor(),
    monitor(release="prometheus"),
    {"scheduling": {"priorityClassName": "low"}},
    tolerates({"key": "dedicated"}),
    *(near(kind, namespaces=["shared"]) for kind in KINDS),
    pods(a="b"),
    pods("labels", a="b"),
]


@pytest.fixture(scope="module")
def teams(cluster: Cluster, client: Client) -> Iterator[tuple[str, str, str]]:
    """A namespace with bounds, one that may have nothing, and one that may have anything."""
    limited, none, free = (cluster.namespace() for _ in range(3))
    bodies = guard(cluster, "outside", [limited], BOUNDS) + guard(cluster, "nothing", [none], NOTHING)

    def bounded() -> bool:
        asks = (server("docs", team, scheduling={"priorityClassName": "high"}) for team in (limited, none))
        return all(client.create(body)[0] == 422 for body in asks)

    cluster.wait_until("the bounds to be kept", bounded)
    yield limited, none, free
    for body in bodies:
        cluster.kubectl("delete", body["kind"], body["metadata"]["name"])


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_what_is_allowed_is_taken(client: Client, teams: tuple[str, str, str], spec: Json) -> None:
    code, answer = client.create(server("docs", teams[0], **in_team(spec, teams[0])))
    assert code == 201, answer["message"]


@pytest.mark.parametrize(("spec", "says"), REFUSED, ids=str)
def test_what_is_not_allowed_is_refused_with_advice(
    client: Client, teams: tuple[str, str, str], spec: Json, says: str
) -> None:
    team, _, free = teams
    body = server("docs", team, **in_team(spec, team))
    refused(*client.create(body), in_team(says, team))
    code, answer = client.create({**body, "metadata": {"name": "docs", "namespace": free}})
    assert code == 201, answer["message"]


@pytest.mark.parametrize("spec", ASKS_FOR_ANY, ids=str)
def test_empty_lists_allow_nothing(client: Client, teams: tuple[str, str, str], spec: Json) -> None:
    assert client.create(server("docs", teams[1]))[0] == 201
    assert client.create(server("docs", teams[1], **in_team(spec, teams[1])))[0] == 422


def test_a_scale_is_judged_by_nothing_of_this(
    cluster: Cluster, store: Store, teams: tuple[str, str, str]
) -> None:
    for team in teams[:2]:
        store("docs", team, replicas=1)
        cluster.kubectl("scale", "fmcp/docs", "--replicas=2", "-n", team)
        assert cluster.found("fmcp", "docs", team)["spec"]["replicas"] == 2


def test_there_are_no_other_ways_to_ask_for_a_host_or_an_address() -> None:
    """A new field here needs a look at `guardrails.hosts`."""
    crd = yaml.safe_load((REPO / "crds/flamemcpservers.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    parts = ("service", "ingress", "httpRoute", "podTemplate")
    fields = {name: set(schema[name]["properties"]) for name in parts}
    assert fields == {
        "podTemplate": {"labels", "annotations"},
        "service": {"type", "port", "annotations", "hostnames", "appProtocol"},
        "ingress": {"className", "host", "path", "tlsSecretRef", "annotations", "allowUnauthenticated"},
        "httpRoute": {"parentRefs", "hostnames"},
    }


def test_the_api_server_finds_no_fault_with_the_types(cluster: Cluster, teams: tuple[str, str, str]) -> None:
    assert teams
    for release in ("outside", "nothing"):
        name = f"{release}-flame-mcp-operator-guardrails"

        def status(policy: str = name) -> Json:
            found: Json = cluster.found("validatingadmissionpolicy", policy, "default").get("status", {})
            return found

        cluster.wait_until("the types to be checked", lambda: "observedGeneration" in status())
        assert status().get("typeChecking", {}).get("expressionWarnings", []) == []
