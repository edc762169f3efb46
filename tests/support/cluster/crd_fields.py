"""The CRD's schema: its validation rules, the paths of its fields, and which of them a resource uses."""

from collections.abc import Iterator

import yaml

from tests.support.cluster.cluster import CRD, Json

SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def rules(schema: Json) -> Iterator[Json]:
    yield from schema.get("x-kubernetes-validations", [])
    for child in (*schema.get("properties", {}).values(), schema.get("items", {})):
        yield from rules(child) if child else ()


def fields(schema: Json, path: str) -> Iterator[str]:
    """The paths of all fields that have none below them."""
    while schema.get("type") == "array":
        schema = schema["items"]
    if not schema.get("properties"):
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from fields(child, f"{path}.{name}")


def given_fields(value: object, path: str) -> Iterator[str]:
    """The paths of everything in a value."""
    yield path
    for item in value if isinstance(value, list) else ():
        yield from given_fields(item, path)
    for name, child in value.items() if isinstance(value, dict) else ():
        yield from given_fields(child, f"{path}.{name}")
