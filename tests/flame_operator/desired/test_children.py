# ruff: noqa: ANN401 - JSON values
"""All children together: golden files for people to read, properties for what nobody thought of."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import inputs, job
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import mode
from flame_operator.desired.run import Run
from flame_operator.errors import InvalidSpec
from flame_operator.resource.annotations import APPLIED_HASH
from flame_operator.resource.server import Server, parse_server
from flame_operator.resource.spec.server_spec import ServerSpec
from flame_operator.resource.unions import loads_docs
from tests.support.operator.children import (
    DEFAULTS,
    children,
    children_of,
    facts,
    parse,
    supported_servers,
)
from tests.support.operator.fake_kube import server

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.in.yaml"))
SCHEMA = ServerSpec.model_json_schema()
MODELS = SCHEMA["$defs"] | {SCHEMA["title"]: SCHEMA}
# Fields and models on which no child depends, as yet.
DECIDE_NOTHING = {
    ("ServerSpec", "operatorClass"),
    ("ServerSpec", "suspend"),
    ("ServerSpec", "verification"),
    ("ServerSpec", "ingestion"),
    ("VectorStore", "managed"),
}
NO_CHILDREN = {
    "Verification",
    "Managed",
    "Storage",
    "Snapshots",
    "Ingestion",
    "Source",
    "GitSource",
    "HttpSource",
    "ClaimRef",
}
QDRANT = {"type": "External", "external": {"url": "http://qdrant:6333"}}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name.split(".")[0])
def test_golden(path: Path) -> None:
    """With UPDATE_GOLDEN=1 the files are written anew; read the difference before you commit it."""
    one = parse_server(yaml.safe_load(path.read_text()), forbid_unknown=True)
    wanted = list(desired_children(one, DEFAULTS, facts(one)))
    if loads_docs(one):
        wanted.append(job(one, DEFAULTS, Run("ingest", "spec", inputs(one, DEFAULTS))))
    expected = path.with_name(path.name.replace(".in.", ".out."))
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(yaml.safe_dump_all(wanted, sort_keys=False))
    found = list(yaml.safe_load_all(expected.read_text()))
    how = "UPDATE_GOLDEN=1 .venv/bin/pytest tests/flame_operator/desired/test_children.py"
    assert found == wanted, f"if the difference is meant, run: {how}"


def given_fields(schema: dict[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    """Model and name of each field that a value has."""
    for option in schema.get("anyOf", [schema]):
        found = MODELS[option["$ref"].rpartition("/")[2]] if "$ref" in option else option
        if "properties" in found and isinstance(value, dict):
            for name, part in value.items():
                yield found["title"], name
                yield from given_fields(found["properties"][name], part)
        elif "items" in found and isinstance(value, list):
            for item in value:
                yield from given_fields(found["items"], item)


def test_every_field_is_in_a_golden_file() -> None:
    known = {(title, name) for title, model in MODELS.items() for name in model.get("properties", {})}
    there = {
        field
        for path in GOLDEN
        for field in given_fields(SCHEMA, yaml.safe_load(path.read_text()).get("spec", {}))
    }
    missing = known - there - DECIDE_NOTHING
    assert [field for field in sorted(missing) if field[0] not in NO_CHILDREN] == []


@given(supported_servers, supported_servers)
def test_the_hash_tells_children_apart(one: Server, other: Server) -> None:
    others = children_of(replace(other, key=one.key, uid=one.uid))
    for kind, first in children_of(one).items():
        second = others.get(kind)
        if second is not None:
            hashes = [child["metadata"]["annotations"][APPLIED_HASH] for child in (first, second)]
            assert (hashes[0] == hashes[1]) == (first == second)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"auth": {"type": "Bearer"}}, "Secret"),
        ({"networkPolicy": {"type": "Disabled"}}, "-NetworkPolicy"),
        ({"replicas": 1}, "-PodDisruptionBudget"),
        ({"podDisruptionBudget": {"type": "Disabled"}}, "-PodDisruptionBudget"),
        ({"autoscaling": {}}, "HorizontalPodAutoscaler"),
        ({"ingress": {"host": "a.example"}}, "Ingress"),
        ({"httpRoute": {"parentRefs": [{"name": "public"}]}}, "HTTPRoute"),
        ({"observability": {"serviceMonitor": {"type": "Enabled"}}}, "ServiceMonitor"),
    ],
)
def test_a_child_is_there_when_its_field_wants_it(spec: dict[str, Any], kind: str) -> None:
    without, with_it = set(children()), set(children(**spec))
    assert without == {
        "ServiceAccount", "ConfigMap", "NetworkPolicy", "Deployment", "Service", "PodDisruptionBudget"
    }  # fmt: skip
    assert with_it == (without - {kind[1:]} if kind.startswith("-") else without | {kind})


def test_kinds_that_the_installation_switches_off_are_never_made() -> None:
    one = parse(
        httpRoute={"parentRefs": [{"name": "public"}]}, observability={"serviceMonitor": {"type": "Enabled"}}
    )
    assert not {"HTTPRoute", "ServiceMonitor"} & children_of(one, Defaults(image="x:1")).keys()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({}, "Standalone"),
        ({"vectorStore": QDRANT}, "Standalone"),
        ({"vectorStore": {"type": "Managed"}}, "WithQdrant"),
        (
            {"vectorStore": QDRANT, "ingestion": {"sources": [{"name": "docs", "bundled": {}}]}},
            "FullStack",
        ),
    ],
)
def test_modes(spec: dict[str, Any], kind: str) -> None:
    assert mode(parse(**spec)) == kind


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"replicas": "two"}, "spec.replicas: Input should be a valid integer"),
        ({"replicas": 51}, "spec.replicas: Input should be less than or equal to 50"),
        ({"embedding": {"type": "Remote"}}, "spec.embedding.type: Input should be 'Local', 'None'"),
        ({"env": [{"name": "FASTMCP_X"}]}, "set by the operator"),
        ({"env": [{"name": "flame_mcp_auth_token_file"}]}, "set by the operator"),
        ({"resources": {"limits": {"cpu": "lots"}}}, "spec.resources.limits.cpu"),
        ({"novelty": 1}, "spec.novelty: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec, match=re.escape(message)):
        parse_server(server(**spec), forbid_unknown=True)


def test_a_newer_schema_does_not_stop_an_older_operator() -> None:
    assert parse_server(server(novelty={"x": 1}, replicas=3)).spec.replicas == 3
