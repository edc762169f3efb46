"""What the API server takes and refuses: the schema and its rules, by the tables in `validity`."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flame_operator.resource.server import parse_server
from tests.support.cluster.cluster import Json, server
from tests.support.cluster.crd_fields import SCHEMA, fields, given_fields, rules
from tests.support.cluster.dry_run import DRY_RUN, Client, Store, path_of, refused

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
TABLES = Path(__file__).parent / "validity"

VALID = yaml.safe_load((TABLES / "valid.yaml").read_text())
LONG = [
    {"spec": {"image": "a" * 513}, "says": "Too long"},
    {"spec": {"env": [{"name": "A", "value": "x" * 1025}]}, "says": "Too long"},
    {"spec": {"metadata": {"labels": {f"a{n}": "1" for n in range(17)}}}, "says": "Too many"},
    {"spec": {"metadata": {"annotations": {"a": "x" * 513}}}, "says": "Too long"},
    {"spec": {"env": [{"name": f"A{n}"} for n in range(33)]}, "says": "Too many"},
    {"spec": {"service": {"annotations": {f"a{n}": "1" for n in range(17)}}}, "says": "Too many"},
    {"spec": {"service": {"annotations": {"a" * 64: "1"}}}, "says": "annotation names must look like"},
    {"spec": {"scheduling": {"nodeSelector": {f"{'a' * 254}/a": "1"}}}, "says": "label names must look like"},
    {"spec": {"networkPolicy": {"egressTo": [{"podSelector": {}}] * 17}}, "says": "Too many"},
]
INVALID = [*yaml.safe_load((TABLES / "invalid.yaml").read_text()), *LONG]
CHANGES = yaml.safe_load((TABLES / "changes.yaml").read_text())
NAMES = [
    {"name": "a" * 41, "says": "must have at most 40 characters"},
    {"name": "a.b", "says": "must be a DNS label that starts with a letter"},
    {"name": "1a", "says": "must be a DNS label that starts with a letter"},
]
GOLDEN = sorted((ROOT / "tests/flame_operator/desired/golden").glob("*.in.yaml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def ids(cases: list[Any]) -> list[str]:
    return [f"{number}-{str(case)[:60]}" for number, case in enumerate(cases)]


def contains(whole: object, part: object) -> bool:
    """Whether nothing of `part` is missing; maps may have more, which are defaults."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return whole == part


@pytest.mark.parametrize("spec", VALID, ids=ids(VALID))
def test_valid_resources_are_taken_whole(client: Client, spec: Json) -> None:
    body = server("docs", "default", **spec)
    code, answer = client.create(body)
    assert code == 201, answer["message"]
    assert contains(answer["spec"], spec)
    assert parse_server(answer, forbid_unknown=True).spec == parse_server(body, forbid_unknown=True).spec


@pytest.mark.parametrize("case", INVALID, ids=ids(INVALID))
def test_invalid_resources_are_refused_with_advice(client: Client, case: Json) -> None:
    refused(*client.create({**server("docs", "default"), "spec": case["spec"]}), case["says"])


@pytest.mark.parametrize("name", ["a", "a" * 40, "a-1"])
def test_valid_names(client: Client, name: str) -> None:
    code, answer = client.create(server(name, "default"))
    assert code == 201, answer


@pytest.mark.parametrize("case", NAMES, ids=ids(NAMES))
def test_invalid_names(client: Client, case: Json) -> None:
    refused(*client.create(server(case["name"], "default")), case["says"])


@pytest.mark.parametrize("case", CHANGES, ids=ids(CHANGES))
def test_changes_of_a_stored_resource(client: Client, store: Store, case: Json) -> None:
    body = store("docs", "default", **case["before"])
    code, answer = client.send("PUT", path_of(body) + DRY_RUN, {**body, "spec": case["after"]})
    if "says" in case:
        refused(code, answer, case["says"])
    else:
        assert code == 200, answer


def test_every_rule_has_a_case() -> None:
    expected = [case["says"] for case in (*INVALID, *CHANGES, *NAMES) if "says" in case]
    messages = {rule["message"] for rule in rules(SCHEMA)}
    assert not [message for message in messages if not any(words in message for words in expected)]


def test_every_field_is_in_a_valid_resource() -> None:
    given = {path for spec in VALID for path in given_fields(spec, "spec")}
    missing = set(fields(SCHEMA["properties"]["spec"], "spec")) - given
    assert sorted(missing) == [], "add them to tests/cluster/validity/valid.yaml"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_taken_whole(client: Client, path: Path) -> None:
    for body in yaml.safe_load_all(path.read_text()):
        body["metadata"]["namespace"] = "default"
        code, answer = client.create(body)
        assert code == 201, answer
        assert contains(answer["spec"], body["spec"])


def test_defaults_are_written_down(client: Client) -> None:
    """People see with kubectl what they get, and the operator reads the same with and without them."""
    _, answer = client.create(server("docs", "default"))
    assert answer["spec"] == {
        "vectorStore": {"type": "Embedded"},
        "embedding": {"type": "Local"},
        "search": {"defaultLimit": 5, "maxTokens": 4000},
        "auth": {"type": "None", "allowUnauthenticated": False},
        "service": {"type": "ClusterIP", "port": 80, "appProtocol": "http"},
        "networkPolicy": {"type": "Enabled"},
        "deploymentStrategy": {"type": "RollingUpdate"},
        "podDisruptionBudget": {"type": "Enabled", "maxUnavailable": 1},
        "observability": {"logLevel": "info", "logFormat": "json", "serviceMonitor": {"type": "Disabled"}},
        "verification": {
            "interval": "10m",
            "query": "How do I add a component to a game?",
            "minResults": 1,
        },
        "suspend": False,
    }


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_golden_inputs_are_taken_whole(client: Client, path: Path) -> None:
    """What children are tested with is what a user may write."""
    body = yaml.safe_load(path.read_text())
    code, answer = client.create(server(body["metadata"]["name"], "default", **body["spec"]))
    assert code == 201, answer
    assert contains(answer["spec"], body["spec"])


def large_spec() -> Json:
    """As much as lists and maps may hold where rules look at every item."""
    labels = {f"{'a' * 60}.example.com/{'b' * 60}-{n}": "c" * 63 for n in range(8)}
    expressions = [{"key": "a" * 60, "operator": "In", "values": ["c" * 63] * 8}] * 4
    selector = {"matchLabels": labels, "matchExpressions": expressions}
    both = {"namespaceSelector": selector, "podSelector": selector}
    term = {"topologyKey": "zone", "labelSelector": selector, "namespaceSelector": selector}
    pods = {
        "requiredDuringSchedulingIgnoredDuringExecution": [term] * 2,
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}] * 4,
    }
    texts = {f"example.com/{n}": "v" * 1024 for n in range(16)}
    names = [f"{'a' * 60}.example.com/{'b' * 60}-{n}" for n in range(16)]
    metadata = {"labels": dict.fromkeys(names, "c" * 63), "annotations": dict.fromkeys(names, "c" * 512)}
    return {
        "networkPolicy": {"ingressFrom": [both] * 8, "egressTo": [both] * 16},
        "scheduling": {"affinity": {"podAffinity": pods, "podAntiAffinity": pods}},
        "env": [{"name": f"A{n}", "value": "x" * 1024} for n in range(32)],
        "egress": {"proxy": {"http": "http://proxy:1", "noProxy": [f"{'a' * 125}{n:02}" for n in range(32)]}},
        "metadata": metadata,
        "podTemplate": metadata,
        "service": {"annotations": texts},
        "serviceAccount": {"annotations": texts},
    }


def test_a_large_resource_is_within_what_rules_may_cost(client: Client) -> None:
    code, answer = client.create(server("docs", "default", **large_spec()))
    assert code == 201, answer["message"]
