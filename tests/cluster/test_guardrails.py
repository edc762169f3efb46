"""The chart's guardrails on a real API server: what tenants get, what they are refused, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from flame_operator.resource.server import DEFAULT_REPLICAS
from flame_operator.resource.spec.backends import Storage
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.dry_run import DRY_RUN, Client, Store, path_of, refused
from tests.support.cluster.guardrails import guard, in_team

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

BOUNDS: Json = {
    "enabled": True,
    "allowedImagePrefixes": ["registry.example.com/flame/", "qdrant/qdrant:"],
    "maxReplicas": 3,
    "maxStorageSize": "20Gi",
    "hosts": {"enabled": True, "allowed": ["{namespace}.apps.example.com", "open.example.com"]},
    "env": {"enabled": True, "allowed": ["TZ", "OTEL_*"]},
}
OPEN: Json = {"auth": {"allowUnauthenticated": True}}
ROUTE = {"parentRefs": [{"name": "public"}]}
EXTERNAL_DNS = "external-dns.alpha.kubernetes.io/hostname"


@dataclass(frozen=True)
class Tenants:
    """Namespaces with bounds, and one without."""

    team: str
    named: str
    """Whose annotation allows two more hosts."""
    exempt: str
    warned: str


@pytest.fixture(scope="module")
def tenants(cluster: Cluster, client: Client) -> Iterator[Tenants]:
    found = Tenants(*(cluster.namespace() for _ in range(4)))
    allowed = "flamemcp.dev/allowed-hosts=docs.example.org, more.example.org"
    cluster.kubectl("annotate", "namespace", found.named, allowed)
    limited = [found.team, found.named, found.exempt]
    bodies = guard(cluster, "bounds", limited, {**BOUNDS, "exemptNamespaces": [found.exempt]})
    bodies += guard(cluster, "warns", [found.warned], {**BOUNDS, "validationActions": ["Warn"]})

    def in_force() -> bool:
        return client.create(server("docs", found.team, replicas=4))[0] == 422

    cluster.wait_until("the bounds to be kept", in_force)
    yield found
    for body in bodies:
        cluster.kubectl("delete", body["kind"], body["metadata"]["name"])


def managed(**fields: Any) -> Json:  # noqa: ANN401 - JSON
    return {"vectorStore": {"type": "Managed", "managed": fields}}


ACCEPTED: list[Json] = [
    {},
    {"image": "registry.example.com/flame/server:1"},
    {"replicas": 3},
    {"replicas": 0},
    {"env": [{"name": "TZ", "value": "UTC"}, {"name": "OTEL_SERVICE_NAME", "value": "docs"}]},
    {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
    {"vectorStore": {"type": "Managed"}},
    managed(image="qdrant/qdrant:v1", replicas=3, storage={"size": "20Gi"}),
    managed(storage={"size": 1000}),
    managed(storage={"size": "20480Mi"}),
    {"ingress": {"host": "docs.TEAM.apps.example.com", "allowUnauthenticated": True}},
    {"ingress": {"host": "TEAM.apps.example.com", "allowUnauthenticated": True}},
    {"ingress": {"host": "x.open.example.com", "allowUnauthenticated": True}},
    {**OPEN, "httpRoute": {**ROUTE, "hostnames": ["*.TEAM.apps.example.com"]}},
    {"service": {"annotations": {EXTERNAL_DNS: "a.open.example.com, TEAM.apps.example.com"}}},
    {"service": {"hostnames": ["a.open.example.com", "*.TEAM.apps.example.com"]}},
]
IMAGES = "images must start with one of registry.example.com/flame/, qdrant/qdrant:; use such an image"
NO_HOST = "use a host in TEAM.apps.example.com, open.example.com, or ask who runs the cluster"
REFUSED: list[tuple[Json, str]] = [
    ({"image": "docker.io/evil/server:1"}, f"spec.image is docker.io/evil/server:1, and {IMAGES}"),
    ({"image": "registry.example.com/flame-evil/server"}, IMAGES),
    (managed(image="evil/qdrant:1"), f"spec.vectorStore.managed.image is evil/qdrant:1, and {IMAGES}"),
    (
        {
            "egress": {
                "proxy": {"https": "http://evil:3128"},
                "caBundleConfigMapRef": {"name": "a", "key": "b"},
            }
        },
        "a server may not set the variable HTTPS_PROXY, SSL_CERT_FILE; it may set TZ, OTEL_*",
    ),
    ({"egress": {"proxy": {"http": "http://evil:3128"}}}, "a server may not set the variable HTTP_PROXY;"),
    (
        {"env": [{"name": "TZ"}, {"name": "HTTPS_PROXY", "value": "http://evil:3128"}, {"name": "tz"}]},
        "a server may not set the variable HTTPS_PROXY, tz; it may set TZ, OTEL_*; remove it from spec.env",
    ),
    ({"replicas": 4}, "a server may have at most 3 replicas"),
    ({"autoscaling": {"minReplicas": 1, "maxReplicas": 4}}, "a server may have at most 3 replicas"),
    ({"autoscaling": {}}, "spec.autoscaling.maxReplicas lower"),  # 10 when left out
    (managed(replicas=4), "a Qdrant server may have at most 3 replicas"),
    (managed(storage={"size": "21Gi"}), "a Qdrant volume may have at most 20Gi"),
    (managed(storage={"size": 30_000_000_000}), "a Qdrant volume may have at most 20Gi"),
    (
        {"ingress": {"host": "docs.example.com", "allowUnauthenticated": True}},
        f"namespace TEAM may not use the host docs.example.com; {NO_HOST}",
    ),
    ({"ingress": {"host": "evilopen.example.com", "allowUnauthenticated": True}}, NO_HOST),
    ({"ingress": {"host": "docs.example.org", "allowUnauthenticated": True}}, NO_HOST),  # another's
    (
        {**OPEN, "httpRoute": {**ROUTE, "hostnames": ["a.open.example.com", "*.com"]}},
        "may not use the host *.com",
    ),
    ({"auth": {"type": "Bearer"}, "httpRoute": ROUTE}, "name the hosts in spec.httpRoute.hostnames"),
    ({"service": {"annotations": {EXTERNAL_DNS: "open.example.com,bank.example.com"}}}, "bank.example.com;"),
    ({"service": {"hostnames": ["open.example.com", "bank.example.org"]}}, "bank.example.org;"),
    (
        {
            "ingress": {
                "host": "open.example.com",
                "allowUnauthenticated": True,
                "annotations": {EXTERNAL_DNS: "bank.example.com"},
            }
        },
        "may not use the host bank.example.com",
    ),
]


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_what_is_inside_the_bounds_is_taken(client: Client, tenants: Tenants, spec: Json) -> None:
    code, answer = client.create(server("docs", tenants.team, **in_team(spec, tenants.team)))
    assert code == 201, answer["message"]


@pytest.mark.parametrize(("spec", "says"), REFUSED, ids=str)
def test_what_is_outside_is_refused_with_advice(
    client: Client, tenants: Tenants, spec: Json, says: str
) -> None:
    body = server("docs", tenants.team, **in_team(spec, tenants.team))
    refused(*client.create(body), in_team(says, tenants.team))
    # Without the bounds nothing is wrong with it.
    code, answer = client.create({**body, "metadata": {"name": "docs", "namespace": tenants.exempt}})
    assert code == 201, answer["message"]


def test_a_namespaces_annotation_allows_more_hosts(client: Client, tenants: Tenants) -> None:
    for host in ("docs.example.org", "a.more.example.org", "x.open.example.com"):
        code, answer = client.create(
            server("docs", tenants.named, ingress={"host": host, "allowUnauthenticated": True})
        )
        assert code == 201, answer["message"]
    foreign = server("docs", tenants.named, ingress={"host": "example.org", "allowUnauthenticated": True})
    refused(*client.create(foreign), "may not use the host example.org; use a host in")


def test_scale_is_no_way_around(client: Client, store: Store, tenants: Tenants, cluster: Cluster) -> None:
    body = store("docs", tenants.team, replicas=1)
    for method, kind in (("PATCH", "merge-patch+json"), ("PUT", "json")):
        for replicas, fits in ((3, True), (0, True), (4, False)):
            scale = {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {"name": "docs", "namespace": tenants.team},
                "spec": {"replicas": replicas},
            }
            code, answer = client.send(method, path_of(body) + "/scale" + DRY_RUN, scale, kind)
            if fits:
                assert code == 200, answer
            else:
                refused(code, answer, "a server may have at most 3 replicas")
    done = cluster.kubectl("scale", "fmcp/docs", "--replicas=4", "-n", tenants.team, check=False)
    assert "a server may have at most 3 replicas" in done.stderr
    assert cluster.found("fmcp", "docs", tenants.team)["spec"]["replicas"] == 1


def test_what_was_there_before_may_be_labelled_but_not_changed_into_something_else_outside(
    client: Client, store: Store, tenants: Tenants, cluster: Cluster
) -> None:
    guard(cluster, "bounds", ["nowhere"], BOUNDS)

    def free() -> bool:
        return client.create(server("probe", tenants.team, replicas=9))[0] == 201

    cluster.wait_until("the bounds to be gone", free)
    body = store("old", tenants.team, replicas=9)
    limited = [tenants.team, tenants.named, tenants.exempt]
    guard(cluster, "bounds", limited, {**BOUNDS, "exemptNamespaces": [tenants.exempt]})
    cluster.wait_until("the bounds to be kept", lambda: not free())

    def patch(change: Json) -> tuple[int, Json]:
        return client.send("PATCH", path_of(body) + DRY_RUN, change, "merge-patch+json")

    assert patch({"metadata": {"labels": {"a": "b"}}})[0] == 200
    refused(*patch({"spec": {"search": {"defaultLimit": 7}}}), "a server may have at most 3 replicas")
    assert patch({"spec": {"search": {"defaultLimit": 7}, "replicas": 3}})[0] == 200


def test_warn_tells_and_lets_pass(cluster: Cluster, tenants: Tenants) -> None:
    text = yaml.safe_dump(server("docs", tenants.warned, replicas=9))
    dry = ("apply", "--dry-run=server", "-f", "-")

    def warned() -> bool:
        return "Warning: Validation failed" in cluster.kubectl(*dry, text=text).stderr

    cluster.wait_until("a warning", warned)
    assert "a server may have at most 3 replicas" in cluster.kubectl(*dry, text=text).stderr


@pytest.mark.parametrize(
    ("bounds", "spec", "says"),
    [
        ({"maxReplicas": DEFAULT_REPLICAS - 1}, {}, "it has 2 when none are named"),
        (
            {"maxStorageSize": "9Gi"},
            {"vectorStore": {"type": "Managed"}},
            "it has 10Gi when nothing is named",
        ),
    ],
)
def test_what_the_operator_adds_by_default_counts(
    client: Client, cluster: Cluster, bounds: Json, spec: Json, says: str
) -> None:
    assert Storage().size == "10Gi"
    namespace = cluster.namespace()
    policies = guard(cluster, "defaults", [namespace], {**BOUNDS, **bounds})
    cluster.wait_until("a refusal", lambda: client.create(server("docs", namespace, **spec))[0] == 422)
    refused(*client.create(server("docs", namespace, **spec)), says)
    for body in policies:
        cluster.kubectl("delete", body["kind"], body["metadata"]["name"])


def test_the_api_server_finds_no_fault_with_the_types(cluster: Cluster, tenants: Tenants) -> None:
    assert tenants
    name = "bounds-flame-mcp-operator-guardrails"

    def checked() -> bool:
        policy = cluster.found("validatingadmissionpolicy", name, "default")
        return bool(policy.get("status", {}).get("observedGeneration") == policy["metadata"]["generation"])

    cluster.wait_until("the types to be checked", checked)
    status = cluster.found("validatingadmissionpolicy", name, "default")["status"]
    assert status.get("typeChecking", {}).get("expressionWarnings", []) == []
