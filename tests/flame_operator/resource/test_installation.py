"""Which of several installations of the operator handles a server, and who says so."""

from typing import Any

import pytest

from flame_operator.resource.annotations import OPERATOR
from flame_operator.resource.installation import Installation, conflict_message
from flame_operator.resource.kinds import Manifest
from tests.support.operator.fake_kube import server

ONE, TWO = Installation("one/operator"), Installation("two/operator")
BLUE = Installation("blue/operator", operator_class="blue")


def resource(status: Any = None, word: str = "", generation: int = 1, **spec: Any) -> Manifest:  # noqa: ANN401 - JSON
    body = {**server(**spec), "status": status or {}}
    body["metadata"] |= {"generation": generation, "annotations": {OPERATOR: word} if word else {}}
    return body


def held(by: Installation, contender: str = "", generation: int = 1) -> Manifest:
    told = {"contender": {"name": contender, "generation": generation}} if contender else {}
    return {"operator": by.claim(), **told}


def test_a_class_and_excluded_namespaces_decide_what_exists() -> None:
    assert ONE.covers(resource())
    assert not ONE.covers(resource(operatorClass="blue"))
    assert BLUE.covers(resource(operatorClass="blue"))
    assert not BLUE.covers(resource())
    assert not Installation(excluded=frozenset({"team"})).covers(resource())


@pytest.mark.parametrize(
    ("body", "handler"),
    [
        (resource(), None),
        (resource(held(ONE)), ONE),
        (resource(held(TWO)), TWO),
        (resource(held(ONE), word=TWO.name), TWO),
        (resource(word=TWO.name), TWO),
        (resource({"operator": {"name": "[31m"}}), Installation("[31m")),
        (resource({"operator": ["junk"], "contender": 7}), None),
    ],
    ids=["new", "one's", "two's", "handed over", "named from the start", "foreign", "junk"],
)
def test_one_handles_it_and_others_stand_back(body: Manifest, handler: Installation | None) -> None:
    for installation in (ONE, TWO):
        assert installation.stands_back(body) is (handler is not None and installation.name != handler.name)


def test_a_change_of_the_class_hands_over() -> None:
    assert not BLUE.stands_back(resource(held(ONE), operatorClass="blue"))
    assert not ONE.stands_back(resource(held(BLUE)))


def test_who_stands_back_says_so_once_for_a_generation() -> None:
    assert TWO.must_tell(resource(held(ONE)))
    assert not TWO.must_tell(resource(held(ONE, TWO.name)))
    assert not TWO.must_tell(resource(held(ONE, "three/operator")))
    assert TWO.must_tell(resource(held(ONE, TWO.name), generation=2))


def test_under_a_users_word_only_who_lets_go_says_so() -> None:
    assert not TWO.must_tell(resource(held(ONE), word=ONE.name))
    assert ONE.must_tell(resource(held(ONE), word=TWO.name))
    assert not ONE.must_tell(resource(held(TWO), word=TWO.name))


def test_who_handles_it_knows_of_the_other_until_the_resource_changes_or_a_word_is_said() -> None:
    assert ONE.contender(resource(held(ONE, TWO.name))) == TWO.name
    assert ONE.contender(resource(held(ONE, TWO.name), generation=2)) == ""
    assert ONE.contender(resource(held(ONE, TWO.name), word=ONE.name)) == ""
    assert ONE.contender(resource(held(ONE, ONE.name))) == ""


def test_the_message_says_what_to_do() -> None:
    message = conflict_message(ONE.name, TWO.name, resource())
    assert "one/operator handles it, and two/operator stands back" in message
    assert "kubectl annotate fmcp docs -n team flamemcp.dev/operator=" in message
    # Names that a chart makes have at most 127 characters; what is longer is cut with the condition.
    assert len(conflict_message("x" * 127, "y" * 127, resource())) <= 900
