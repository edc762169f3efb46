# ruff: noqa: ANN401 - JSON values
"""The CRD is bounded everywhere, and says the same as the typed model."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from flame_operator.formats.text import MESSAGE_LENGTH
from flame_operator.resource.kinds import SERVER
from flame_operator.resource.reasons import Reason
from flame_operator.resource.spec.server_spec import ServerSpec
from tests.support.operator.crd import CRD, SCHEMA, VERSION

MODEL = {**ServerSpec.model_json_schema(by_alias=True), "default": {}}  # nobody has to write a spec
BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "maxItems", "maxProperties", "enum")


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in (schema.get("properties") or {}).items():
        yield from walk(child, f"{path}.{name}")
    for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), dict):
            yield from walk(schema[keyword], path + suffix)


def problems(path: str, schema: dict[str, Any]) -> Iterator[str]:
    kind = schema.get("type")
    if path != ".metadata" and not schema.get("description") and not path.endswith("{}"):
        yield "no description"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        yield "takes anything"
    if (kind == "string" and "enum" not in schema and "maxLength" not in schema) or (
        schema.get("x-kubernetes-int-or-string") and not {"maxLength", "pattern", "maximum"} <= schema.keys()
    ):
        yield "a string without maxLength"
    if kind == "integer" and not {"minimum", "maximum"} <= schema.keys():
        yield "an integer without minimum and maximum"
    if kind == "number":
        yield "a floating-point number"
    if kind == "array" and not {"maxItems", "x-kubernetes-list-type"} <= schema.keys():
        yield "a list without maxItems or list type"
    if "additionalProperties" in schema and "maxProperties" not in schema:
        yield "a map without maxProperties"


def test_everything_is_bounded() -> None:
    found = [f"{path}: {problem}" for path, schema in walk(SCHEMA) for problem in problems(path, schema)]
    assert found == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "description": "x"},
        {"type": "integer", "description": "x", "minimum": 0},
        {"type": "array", "description": "x", "maxItems": 3},
        {"type": "object", "description": "x", "additionalProperties": {}},
        {"type": "boolean"},
    ],
)
def test_the_walk_finds_what_is_not(schema: dict[str, Any]) -> None:
    assert list(problems(".spec.x", schema))


def test_the_largest_resource_fits_into_etcd() -> None:
    """An object in etcd has at most 1.5 MiB, of which annotations may take 256 KiB."""
    assert size(SCHEMA["properties"]["spec"]) < (1536 - 256) * 1024


def only_one_of(schema: dict[str, Any]) -> list[str]:
    """The fields of which a rule wants exactly one."""
    rules = [one["rule"] for one in schema.get("x-kubernetes-validations", ())]
    (rule,) = [one for one in rules if "exists_one(" in one] or [""]
    return re.findall(r"has\(self\.(\w+)\)", rule)


def size(schema: dict[str, Any]) -> int:
    """Bytes of the largest value that the schema takes, written as JSON."""
    if "properties" in schema:
        sizes = {name: len(f'"{name}":,') + size(child) for name, child in schema["properties"].items()}
        members = only_one_of(schema)
        return sum(sizes.values()) - sum(sorted(sizes[name] for name in members)[:-1])
    if "additionalProperties" in schema:
        return int(schema["maxProperties"] * (len('"":,') + 317 + size(schema["additionalProperties"])))
    if schema.get("type") == "array":
        return int(schema["maxItems"] * (len(",") + size(schema["items"])))
    if "maxLength" in schema:
        # A pattern keeps most texts to ASCII letters; any other character may become an escape of 6 bytes.
        plain = "pattern" in schema and "[^" not in schema["pattern"]
        return int(schema["maxLength"] * (1 if plain else 6)) + len('""')
    return max(map(len, schema.get("enum", ["x" * 20]))) + len('""')


def test_what_kubectl_needs_is_there() -> None:
    names = CRD["spec"]["names"]
    assert (CRD["spec"]["group"], VERSION["name"], names["kind"], names["plural"]) == (
        SERVER.group,
        SERVER.version,
        SERVER.kind,
        SERVER.plural,
    )
    assert names["shortNames"] == ["fmcp"]
    assert names["categories"] == ["mcp"]
    assert set(VERSION["subresources"]) == {"status", "scale"}
    assert [
        column["name"] for column in VERSION["additionalPrinterColumns"] if not column.get("priority")
    ] == [
        "Ready",
        "Reason",
        "Mode",
        "Replicas",
        "URL",
        "Age",
    ]
    assert len(VERSION["selectableFields"]) >= 2


def test_rules_say_what_to_do() -> None:
    rules = [rule for _, schema in walk(SCHEMA) for rule in schema.get("x-kubernetes-validations", [])]
    assert len({rule["rule"] for rule in rules}) >= 20
    assert any("oldSelf" in rule["rule"] for rule in rules)
    assert all(len(rule["message"]) > 30 for rule in rules)


def test_model_and_schema_agree() -> None:
    assert list(differences("spec", MODEL, MODEL, SCHEMA["properties"]["spec"])) == []


def differences(path: str, root: Any, model: Any, schema: Any) -> Iterator[str]:  # noqa: C901 - a checklist
    """How two schemas of one field differ; `root` holds the model's definitions."""
    default = model.get("default")
    options = [option for option in model.get("anyOf", [model]) if option != {"type": "null"}]
    model = options[0]
    if "$ref" in model:
        model = root["$defs"][model["$ref"].rsplit("/", 1)[-1]]
    if "const" in model:
        model = {**model, "enum": [model["const"]]}
    for bound in BOUNDS:
        # Quantities may be numbers in YAML, so the schema bounds those too; the model makes them text.
        if bound in ("minimum", "maximum") and schema.get("x-kubernetes-int-or-string"):
            continue
        if model.get(bound) != schema.get(bound):
            yield f"{path}: {bound} is {model.get(bound)} in the model, {schema.get(bound)} in the schema"
    if model.get("type") != schema.get("type", "string"):
        yield f"{path}: is {model.get('type')} in the model, {schema.get('type')} in the schema"
    if "properties" in model or "properties" in schema:
        mine, theirs = model.get("properties", {}), schema.get("properties", {})
        yield from (f"{path}.{name}: only in one of the two" for name in mine.keys() ^ theirs.keys())
        for name in mine.keys() & theirs.keys():
            yield from differences(f"{path}.{name}", root, mine[name], theirs[name])
        if set(model.get("required", [])) != set(schema.get("required", [])):
            yield f"{path}: other fields are required"
    yield from _default_differs(path, default, schema)
    for keyword in ("items", "additionalProperties"):
        if isinstance(model.get(keyword), dict):
            yield from differences(f"{path}[]", root, model[keyword], schema[keyword])


def _default_differs(path: str, default: Any, schema: Any) -> Iterator[str]:
    theirs = schema.get("default")
    if "properties" in schema:
        # Defaults inside an object come true only where the object itself has a default.
        inside = any("default" in child for child in schema["properties"].values())
        if (inside and default is not None) != (theirs is not None):
            yield f"{path}: is there by itself in one of the two only"
        return
    if theirs is not None and schema.get("x-kubernetes-int-or-string"):
        theirs = str(theirs)  # the model makes text of what may be a number or text
    if (default or None) != (theirs or None):
        yield f"{path}: the default is {default} in the model, {theirs} in the schema"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["replicas", "maximum"], 51),
        (["search", "default"], None),
        (["ingestion", "default"], {}),
        (["podDisruptionBudget", "properties", "maxUnavailable", "default"], 2),
        (["search", "properties", "defaultLimit", "default"], 6),
        (["embedding", "properties", "type", "enum"], ["Local"]),
        (["novelty"], {"type": "string"}),
    ],
)
def test_the_comparison_finds_differences(path: list[str], value: object) -> None:
    spec = yaml.safe_load(yaml.safe_dump(SCHEMA["properties"]["spec"]))
    place = spec["properties"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert len(list(differences("spec", MODEL, MODEL, spec))) == 1


def test_status_messages_and_reasons_fit_the_schema() -> None:
    condition = SCHEMA["properties"]["status"]["properties"]["conditions"]["items"]["properties"]
    assert condition["message"]["maxLength"] == MESSAGE_LENGTH
    assert all(len(reason) <= condition["reason"]["maxLength"] for reason in Reason)
