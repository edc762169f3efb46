"""Whether an object has all that is wanted of it, and the patches where an apply alone can't set it right."""

from hypothesis import given

from flame_operator.changes.compare import corrections, is_subset
from flame_operator.changes.plan import Apply, plan
from flame_operator.desired.children import desired_children
from flame_operator.resource.server import Server
from tests.support.operator.children import DEFAULTS, facts, supported_servers
from tests.support.operator.live_children import add_sidecar, container, deployment_with, live


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


def test_a_label_that_others_add_to_a_selector_is_removed() -> None:
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
