"""Every kind of child, against a real API server: comes, changes and goes with its field, and is repaired."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness import foreign
from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.operators import operators

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
REPAIR_SECONDS = 5.0


@dataclass(frozen=True)
class Case:
    """A kind of child; specs with which it is there, is another and isn't there; an edit that is undone."""

    kind: str
    on: Json = field(default_factory=dict)
    other: Json = field(default_factory=dict)
    off: Json | None = None
    edit: Json = field(default_factory=lambda: {"metadata": {"labels": {"app.kubernetes.io/part-of": "x"}}})
    watched: bool = True


BEARER = {"auth": {"type": "Bearer"}}
SCALED = {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}}
INGRESS = {"ingress": {"host": "docs.example.com", "allowUnauthenticated": True}}
OPEN: Json = {"auth": {"allowUnauthenticated": True}}
ROUTE: Json = {**OPEN, "httpRoute": {"parentRefs": [{"name": "gateway"}], "hostnames": ["docs.example.com"]}}
MONITOR: Json = {"observability": {"serviceMonitor": {"type": "Enabled", "labels": {"team": "a"}}}}

CASES = {
    case.kind: case
    for case in (
        Case("serviceaccount", other={"serviceAccount": {"annotations": {"example.com/a": "1"}}}),
        Case("configmap", other={"search": {"maxTokens": 900}}, edit={"data": {"FLAME_MCP_PORT": "1"}}),
        Case("deployment", other={"image": "other:1"}, edit={"spec": {"revisionHistoryLimit": 99}}),
        Case("service", other={"service": {"port": 81}}, edit={"spec": {"selector": {"evil": "1"}}}),
        Case(
            "networkpolicy",
            other={"networkPolicy": {"egressTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}},
            off={"networkPolicy": {"type": "Disabled"}},
            edit={"spec": {"egress": [{}]}},
        ),
        Case(
            "poddisruptionbudget",
            other={"podDisruptionBudget": {"maxUnavailable": "50%"}},
            off={"replicas": 1},
            edit={"spec": {"maxUnavailable": 2}},
        ),
        Case(
            "horizontalpodautoscaler",
            on=SCALED,
            other={"autoscaling": {"minReplicas": 1, "maxReplicas": 4}},
            off={},
            edit={"spec": {"maxReplicas": 50}},
        ),
        Case(
            "ingress",
            on=INGRESS,
            other={"ingress": {"host": "other.example.com", "allowUnauthenticated": True}},
            off={},
            edit={"spec": {"rules": [{"host": "evil.example.com"}]}},
        ),
        Case("secret", on=BEARER, off={}, watched=False, edit={"metadata": {"labels": {"x": "y"}}}),
        Case(
            "httproute",
            on=ROUTE,
            other={**OPEN, "httpRoute": {**ROUTE["httpRoute"], "hostnames": ["other.example.com"]}},
            off={},
            watched=False,
            edit={"spec": {"hostnames": ["evil.example.com"]}},
        ),
        Case(
            "servicemonitor",
            on=MONITOR,
            other={"observability": {"serviceMonitor": {"type": "Enabled", "labels": {"team": "b"}}}},
            off={},
            watched=False,
            edit={"spec": {"endpoints": []}},
        ),
    )
}


@pytest.fixture(scope="module")
def definitions(cluster: Cluster) -> None:
    for names in (foreign.HTTP_ROUTES, foreign.SERVICE_MONITORS):
        cluster.kubectl("apply", "--server-side", "-f", str(foreign.definition(*names)))
    cluster.kubectl(
        "wait", "--for=condition=Established", "--timeout=30s",
        "crd/httproutes.gateway.networking.k8s.io", "crd/servicemonitors.monitoring.coreos.com",
    )  # fmt: skip


@pytest.fixture(scope="module")
def operator(
    definitions: None, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """One for all tests here: they keep to their namespaces."""
    del definitions
    with operators(cluster, tmp_path_factory.mktemp("operator")) as start:
        yield start(
            FLAME_OPERATOR_HTTP_ROUTES="true",
            FLAME_OPERATOR_SERVICE_MONITORS="true",
            FLAME_OPERATOR_RESYNC_SECONDS="2",
            FLAME_OPERATOR_REFERENCE_POLL_SECONDS="1",
        )


def essence(child: Json | None) -> Json | None:
    """A child less what changes on its own."""
    if child is None:
        return None
    plain = {name: value for name, value in child.items() if name != "status"}
    names = ("name", "labels", "annotations", "ownerReferences", "uid")
    plain["metadata"] = {name: child["metadata"].get(name) for name in names}
    plain["metadata"]["annotations"] = {
        name: value
        for name, value in (plain["metadata"]["annotations"] or {}).items()
        if not name.startswith("deployment.kubernetes.io/")
    }
    return plain


def settled(cluster: Cluster, namespace: str) -> None:
    """Wait until the operator has dealt with the resource as it is."""

    def done() -> bool:
        resource = cluster.found("fmcp", "docs", namespace)
        observed = resource.get("status", {}).get("observedGeneration")
        return bool(observed == resource["metadata"]["generation"])

    cluster.wait_until("the operator to have seen the spec", done)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_child_comes_changes_and_goes_with_its_field(cluster: Cluster, namespace: str, case: Case) -> None:
    cluster.apply(server("docs", namespace, **case.on))
    settled(cluster, namespace)
    first = cluster.found(case.kind, "docs", namespace)
    (owner,) = first["metadata"]["ownerReferences"]
    assert owner["uid"] == cluster.found("fmcp", "docs", namespace)["metadata"]["uid"]
    if case.other:
        cluster.apply(server("docs", namespace, **case.other))
        settled(cluster, namespace)
        changed = cluster.found(case.kind, "docs", namespace)
        assert changed["metadata"]["uid"] == first["metadata"]["uid"]
        assert essence(changed) != essence(first)
    if case.off is not None:
        cluster.apply(server("docs", namespace, **case.off))
        cluster.wait_until("the child to go", lambda: cluster.get(case.kind, "docs", namespace) is None)
        cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))


def repaired(cluster: Cluster, namespace: str, case: Case, damage: Callable[[], object]) -> None:
    cluster.apply(server("docs", namespace, **case.on))
    settled(cluster, namespace)
    before = cluster.found(case.kind, "docs", namespace)
    damage()
    started = time.monotonic()

    def whole() -> bool:
        now = cluster.get(case.kind, "docs", namespace)
        if now is None or now["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]:
            return False
        wanted, found = essence(before), essence(now)
        assert wanted is not None
        assert found is not None
        del wanted["metadata"]["uid"], found["metadata"]["uid"]
        for variable in ("clusterIP", "clusterIPs"):
            wanted.get("spec", {}).pop(variable, None), found.get("spec", {}).pop(variable, None)
        return found == wanted

    cluster.wait_until("the child to be as before", whole)
    if case.watched:
        assert time.monotonic() - started < REPAIR_SECONDS


# A token that is gone is gone: see test_a_token_is_made_once_and_kept.
REPAIRED = {kind: case for kind, case in CASES.items() if kind != "secret"}


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("case", REPAIRED.values(), ids=REPAIRED)
def test_a_deleted_child_comes_back(cluster: Cluster, namespace: str, case: Case) -> None:
    repaired(
        cluster,
        namespace,
        case,
        lambda: cluster.kubectl("delete", case.kind, "docs", "-n", namespace, "--wait=false"),
    )


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("case", REPAIRED.values(), ids=REPAIRED)
def test_an_edited_child_is_set_right(cluster: Cluster, namespace: str, case: Case) -> None:
    patch = json.dumps(case.edit)
    repaired(
        cluster,
        namespace,
        case,
        lambda: cluster.kubectl("patch", case.kind, "docs", "-n", namespace, "--type=merge", "-p", patch),
    )


def token(cluster: Cluster, namespace: str) -> str:
    found: str = (cluster.get("secret", "docs", namespace) or {}).get("data", {}).get("token", "")
    return found


def test_a_token_is_made_once_and_kept(cluster: Cluster, namespace: str, operator: Operator) -> None:
    cluster.apply(server("docs", namespace, **BEARER))
    settled(cluster, namespace)
    first = token(cluster, namespace)
    assert len(first) >= 40
    cluster.apply(server("docs", namespace, **BEARER, search={"maxTokens": 900}))
    settled(cluster, namespace)
    operator.wait_for("swept", count=len(operator.lines("swept")) + 2)
    assert token(cluster, namespace) == first
    cluster.kubectl("delete", "secret", "docs", "-n", namespace)
    cluster.wait_until("another token", lambda: token(cluster, namespace) not in ("", first))
    second = token(cluster, namespace)
    assert first not in operator.log.read_text()
    assert second not in operator.log.read_text()
    assert (
        second
        not in cluster.kubectl("get", "fmcp,deploy,cm,svc,events", "-n", namespace, "-o", "yaml").stdout
    )


def pod_spec(cluster: Cluster, namespace: str) -> Any:  # noqa: ANN401 - JSON
    return cluster.found("deployment", "docs", namespace)["spec"]["template"]["spec"]


@pytest.mark.usefixtures("operator")
def test_what_others_add_stays(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    settled(cluster, namespace)
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "proxy", "image": "proxy:1"}]}}}}
    cluster.kubectl("patch", "deployment", "docs", "-n", namespace, "-p", json.dumps(sidecar))
    cluster.kubectl("annotate", "deployment", "docs", "-n", namespace, "example.com/note=mine")
    cluster.apply(server("docs", namespace, search={"maxTokens": 900}, env=[{"name": "A", "value": "1"}]))
    settled(cluster, namespace)
    assert {one["name"] for one in pod_spec(cluster, namespace)["containers"]} == {"server", "proxy"}
    deployment = cluster.found("deployment", "docs", namespace)
    assert deployment["metadata"]["annotations"]["example.com/note"] == "mine"


def replicas(cluster: Cluster, namespace: str) -> int:
    found: int = cluster.found("deployment", "docs", namespace)["spec"]["replicas"]
    return found


def sent_replicas(cluster: Cluster, namespace: str) -> list[int]:
    """Every number of replicas that the operator has asked for, in order."""
    found = []
    for event in cluster.writes(namespace):
        if event["objectRef"]["resource"] != "deployments":
            continue
        body = event.get("requestObject")
        if event.get("userAgent", "").startswith("flame-operator") and isinstance(body, dict):
            number = body.get("spec", {}).get("replicas")
            found += [] if number is None else [number]
    return found


@pytest.mark.usefixtures("operator")
def test_an_autoscaler_takes_over_without_a_dip(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace, replicas=3))
    settled(cluster, namespace)
    assert replicas(cluster, namespace) == 3

    def scalings() -> list[tuple[int, int]]:
        """How often each ReplicaSet has been changed, and to how many replicas."""
        found = cluster.items("replicasets", namespace)
        return [(one["metadata"]["generation"], one["spec"]["replicas"]) for one in found]

    cluster.wait_until("the ReplicaSet", lambda: [number for _, number in scalings()] == [3])
    before = scalings()
    cluster.apply(server("docs", namespace, **SCALED))
    settled(cluster, namespace)
    deployment = cluster.found("deployment", "docs", namespace)
    generation = deployment["metadata"]["generation"]
    assert deployment["spec"]["replicas"] == 3
    cluster.wait_until(
        "the Deployment controller to have seen that",
        lambda: cluster.found("deployment", "docs", namespace)["status"]["observedGeneration"] >= generation,
    )
    assert scalings() == before
    cluster.kubectl("scale", "deployment", "docs", "-n", namespace, "--replicas=2")
    cluster.apply(server("docs", namespace, **SCALED, search={"maxTokens": 900}))
    settled(cluster, namespace)
    assert replicas(cluster, namespace) == 2
    assert sent_replicas(cluster, namespace) == [3]


@pytest.mark.usefixtures("operator")
def test_a_scaler_of_the_deployment_is_left_alone(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    settled(cluster, namespace)
    cluster.kubectl("scale", "deployment", "docs", "-n", namespace, "--replicas=4")
    cluster.apply(server("docs", namespace, search={"maxTokens": 900}))
    settled(cluster, namespace)
    assert replicas(cluster, namespace) == 4
    cluster.kubectl("scale", "deployment", "docs", "-n", namespace, "--replicas=5")
    cluster.apply(server("docs", namespace, search={"maxTokens": 901}))
    settled(cluster, namespace)
    assert replicas(cluster, namespace) == 5
    assert sent_replicas(cluster, namespace) == [2]
    cluster.apply(server("docs", namespace, replicas=1))
    settled(cluster, namespace)
    assert replicas(cluster, namespace) == 1


@pytest.mark.usefixtures("operator")
def test_the_scale_of_the_resource_reaches_the_deployment(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace))
    settled(cluster, namespace)
    cluster.kubectl("scale", "fmcp/docs", "-n", namespace, "--replicas=3")
    cluster.wait_until("three replicas", lambda: replicas(cluster, namespace) == 3)
