# ruff: noqa: ANN401 - JSON values
"""What a pass does to each child, given what is wanted and what is there."""

from typing import Any

import pytest

from flame_operator.changes.plan import Apply, AwaitDeletion, Delete, NameTaken, plan
from flame_operator.resource.kinds import Manifest
from tests.support.operator.live_children import add_sidecar, container, deployment_with, live, setting

EXPOSED: dict[str, Any] = {
    "ingress": {"host": "a.example"},
    "httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["b.example"]},
    "auth": {"type": "Bearer"},
    "autoscaling": {},
    "networkPolicy": {"ingressFrom": [{"podSelector": {}}], "egressTo": [{"podSelector": {}}]},
}


def test_another_spec_changes_only_what_differs() -> None:
    _, before = setting()
    one, wanted = setting(service={"port": 81})
    (action,) = plan(one, wanted, [live(child) for child in before])
    assert isinstance(action, Apply)
    assert (action.manifest["kind"], action.uid) == ("Service", "uid-of-Service")


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
def test_additions_of_others_are_left_alone(change: Any) -> None:
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
def test_changes_of_others_are_undone(change: Any) -> None:
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
def test_additions_that_let_more_in_or_out_are_removed(kind: str, widen: Any) -> None:
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
