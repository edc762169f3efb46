"""Whether an object has all that is wanted of it, and the patches where an apply alone can't set it right."""

from flame_operator.changes.compare import corrections, is_subset
from flame_operator.changes.plan import Apply, plan
from tests.support.operator.live_children import add_sidecar, container, deployment_with


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
