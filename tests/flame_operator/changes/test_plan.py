# ruff: noqa: ANN401 - JSON values
import copy
from typing import Any

import pytest
from hypothesis import given

from flame_operator.changes.compare import corrections, is_subset
from flame_operator.changes.plan import Apply, AwaitDeletion, Delete, NameTaken, plan
from flame_operator.desired.children import desired_children
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server
from tests.support.operator.children import DEFAULTS, facts, parse, supported_servers

EXPOSED: dict[str, Any] = {
    "ingress": {"host": "a.example"},
    "httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["b.example"]},
    "auth": {"type": "Bearer"},
    "autoscaling": {},
    "networkPolicy": {"ingressFrom": [{"podSelector": {}}], "egressTo": [{"podSelector": {}}]},
}


def live(child: Manifest, **metadata: Any) -> Manifest:
    """A child as the API server gives it back: with a uid, defaults, and what others have added."""
    found = copy.deepcopy(child)
    found["metadata"] |= {
        "uid": f"uid-of-{child['kind']}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    } | metadata
    found["status"] = {"observedGeneration": 1}
    return found


def setting(**spec: Any) -> tuple[Server, tuple[Manifest, ...]]:
    one = parse(**spec)
    return one, desired_children(one, DEFAULTS, facts(one))


@given(supported_servers)
def test_nothing_to_do_once_applied(one: Server) -> None:
    wanted = desired_children(one, DEFAULTS, facts(one))
    assert plan(one, wanted, [live(child) for child in wanted]) == ()


@given(supported_servers)
def test_everything_to_do_at_first(one: Server) -> None:
    wanted = desired_children(one, DEFAULTS, facts(one))
    planned = plan(one, wanted, [])
    assert sorted(map(repr, planned)) == sorted(repr(Apply(child, uid=None)) for child in wanted)


def test_another_spec_changes_only_what_differs() -> None:
    _, before = setting()
    one, wanted = setting(service={"port": 81})
    (action,) = plan(one, wanted, [live(child) for child in before])
    assert isinstance(action, Apply)
    assert (action.manifest["kind"], action.uid) == ("Service", "uid-of-Service")


def deployment_with(change: Any) -> tuple[Server, tuple[Manifest, ...], list[Manifest]]:
    one, wanted = setting(resources={"requests": {"cpu": "0.5"}}, env=[{"name": "A", "value": "1"}])
    observed = [live(child) for child in wanted]
    change(next(child for child in observed if child["kind"] == "Deployment"))
    return one, wanted, observed


def container(deployment: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][-1]
    return found


def add_sidecar(deployment: Manifest) -> None:
    deployment["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    deployment["spec"]["template"]["spec"]["volumes"].insert(0, {"name": "certs", "emptyDir": {}})


def add_what_others_own(deployment: Manifest) -> None:
    deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "3"
    deployment["metadata"]["labels"]["team"] = "x"
    deployment["spec"]["progressDeadlineSeconds"] = 600
    container(deployment)["terminationMessagePath"] = "/dev/termination-log"
    container(deployment)["env"].append({"name": "B", "value": "2"})


def write_quantities_otherwise(deployment: Manifest) -> None:
    container(deployment)["resources"]["requests"]["cpu"] = "500m"
    deployment["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = "65536Ki"


@pytest.mark.parametrize("change", [add_sidecar, add_what_others_own, write_quantities_otherwise])
def test_what_others_add_survives(change: Any) -> None:
    assert plan(*deployment_with(change)) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["spec"].update(replicas=7),
        lambda found: container(found).update(image="other:1"),
        lambda found: container(found)["env"].clear(),
        lambda found: container(found)["env"][0].update(value="2"),
        lambda found: container(found)["args"].append("--verbose"),
        lambda found: container(found)["resources"]["requests"].update(cpu="501m"),
        lambda found: container(found)["securityContext"]["capabilities"].update(drop=[]),
        lambda found: container(found)["securityContext"].update(runAsNonRoot=False),
        lambda found: found["metadata"]["labels"].pop("app.kubernetes.io/instance"),
        lambda found: found["metadata"]["annotations"].clear(),
        lambda found: found["metadata"]["ownerReferences"][0].update(blockOwnerDeletion=False),
    ],
)
def test_what_others_change_is_set_right(change: Any) -> None:
    (action,) = plan(*deployment_with(change))
    assert isinstance(action, Apply)
    assert action.uid == "uid-of-Deployment"


def owned_by(**owner: Any) -> list[dict[str, Any]]:
    return [
        {"apiVersion": "x/v1", "kind": "Other", "name": "docs", "uid": "uid-2", "controller": True} | owner
    ]


@pytest.mark.parametrize(
    "owners", [[], owned_by(), owned_by(uid="uid-1", controller=False), owned_by(name="x")]
)
def test_a_foreign_object_is_never_touched(owners: list[dict[str, Any]]) -> None:
    one, wanted = setting()
    foreign = [live(child, ownerReferences=owners) for child in wanted]
    assert plan(one, wanted, foreign) == tuple(NameTaken(child) for child in foreign)
    assert plan(one, (), foreign) == ()


def test_children_of_an_earlier_server_of_that_name_are_waited_for() -> None:
    one, wanted = setting()
    leftover = live(wanted[0], ownerReferences=owned_by(kind="FlameMCPServer"))
    assert plan(one, wanted[:1], [leftover]) == (AwaitDeletion(leftover),)


def test_a_child_that_is_being_deleted_is_waited_for() -> None:
    one, wanted = setting()
    going = live(wanted[0], deletionTimestamp="2026-01-01T00:00:00Z")
    assert plan(one, wanted[:1], [going]) == (AwaitDeletion(going),)
    assert plan(one, (), [going]) == ()


def test_what_is_no_longer_desired_is_deleted() -> None:
    one, wanted = setting()
    observed = [live(child) for child in wanted]
    assert plan(one, wanted[:-1], observed) == (Delete(observed[-1]),)


def test_an_empty_text_may_be_left_out_but_not_filled() -> None:
    assert is_subset({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]})
    assert not is_subset({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A", "value": "x"}]})
    assert not is_subset({"a": {"b": "x"}}, {"a": {}})


def test_true_is_not_one() -> None:
    assert not is_subset({"a": True}, {"a": 1})


def test_ports_that_others_add_are_removed() -> None:
    one, wanted, observed = deployment_with(
        lambda found: container(found)["ports"].append({"containerPort": 22, "protocol": "TCP"})
    )
    (action,) = plan(one, wanted, observed)
    assert isinstance(action, Apply)
    deployment = next(child for child in observed if child["kind"] == "Deployment")
    add_sidecar(deployment)
    assert corrections(action.manifest, deployment) == [
        {
            "op": "replace",
            "path": "/spec/template/spec/containers/1/ports",
            "value": container(action.manifest)["ports"],
        }
    ]


@given(supported_servers)
def test_there_is_nothing_to_correct_in_what_was_applied(one: Server) -> None:
    for child in desired_children(one, DEFAULTS, facts(one)):
        assert corrections(child, live(child)) == []


@pytest.mark.parametrize(
    ("kind", "widen"),
    [
        ("NetworkPolicy", lambda spec: spec["ingress"].append({})),
        ("NetworkPolicy", lambda spec: spec["egress"].append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})),
        ("NetworkPolicy", lambda spec: spec["ingress"][0]["from"].append({"namespaceSelector": {}})),
        ("NetworkPolicy", lambda spec: spec["ingress"][0]["from"][0].update(namespaceSelector={})),
        ("NetworkPolicy", lambda spec: spec["ingress"][0]["ports"].append({"protocol": "TCP", "port": 22})),
        ("NetworkPolicy", lambda spec: spec["ingress"][0]["ports"][0].update(endPort=65535)),
        ("NetworkPolicy", lambda spec: spec["egress"][0].update(ports=[])),
        ("NetworkPolicy", lambda spec: spec["policyTypes"].remove("Egress")),
        ("Service", lambda spec: spec["ports"].append({"port": 22, "protocol": "TCP"})),
        ("Ingress", lambda spec: spec["rules"].append({"host": "evil.example"})),
        ("Ingress", lambda spec: spec["rules"][0]["http"]["paths"].append({"path": "/x"})),
        ("HTTPRoute", lambda spec: spec["rules"][0]["backendRefs"].append({"name": "other"})),
        ("HTTPRoute", lambda spec: spec["hostnames"].append("evil.example")),
        ("HorizontalPodAutoscaler", lambda spec: spec["metrics"].append({"type": "Pods"})),
    ],
)
def test_more_ways_in_or_out_are_taken_away(kind: str, widen: Any) -> None:
    one, wanted = setting(**EXPOSED)
    observed = [live(child) for child in wanted]
    widen(next(child for child in observed if child["kind"] == kind)["spec"])
    (action,) = plan(one, wanted, observed)
    assert isinstance(action, Apply)
    assert action.manifest["kind"] == kind


def default_like_the_api_server(found: dict[str, Manifest]) -> None:
    found["Ingress"]["spec"]["ingressClassName"] = "default"
    found["Service"]["spec"] |= {"clusterIP": "10.0.0.1", "sessionAffinity": "None"}
    found["Service"]["spec"]["ports"][0]["nodePort"] = 30000
    found["HorizontalPodAutoscaler"]["spec"]["behavior"] = {"scaleUp": {"selectPolicy": "Max"}}
    found["HTTPRoute"]["spec"]["parentRefs"][0] |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    found["HTTPRoute"]["spec"]["rules"][0]["backendRefs"][0] |= {"group": "", "kind": "Service", "weight": 1}
    found["Deployment"]["spec"]["replicas"] = 7


def test_defaults_and_an_autoscalers_work_are_no_drift() -> None:
    one, wanted = setting(**EXPOSED)
    observed = {child["kind"]: live(child) for child in wanted}
    default_like_the_api_server(observed)
    assert plan(one, wanted, list(observed.values())) == ()


def test_a_selector_with_one_label_more_is_set_right() -> None:
    wanted = {"spec": {"selector": {"app": "docs"}, "podSelector": {"matchLabels": {"app": "docs"}}}}
    live = {
        "spec": {
            "selector": {"app": "docs", "evil": "1"},
            "podSelector": {"matchLabels": {"app": "docs", "evil": "1"}},
        }
    }
    assert not is_subset(wanted, live)
    assert {fix["path"]: fix["value"] for fix in corrections(wanted, live)} == {
        "/spec/selector": {"app": "docs"},
        "/spec/podSelector/matchLabels": {"app": "docs"},
    }
