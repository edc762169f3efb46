"""Writes docs/resource.md, the reference of all fields, from the CRD's schema: `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "resource.md"
SMALL_SHAPE = 3
"""Fields; a shape with no more than these is described wherever it is."""
INTRODUCTION = """\
# FlameMCPServer

`apiVersion: {group}/{version}`, `kind: {kind}`, short name `{short}`. All fields of `spec` are optional.

<!-- Written by `make docs` from crds/flamemcpservers.yaml: change the schema, not this file. -->
"""


class Field(NamedTuple):
    """A field, or the items of a list."""

    path: str
    schema: dict[str, Any]
    required: bool
    like: str | None
    """Where the same fields are described already; they aren't described again."""


def _fields(path: str, schema: dict[str, Any], first: dict[int, str], *, required: bool) -> Iterator[Field]:
    """A schema and all below it, depth first.

    A shape that the schema repeats by a YAML alias is the same object here, so it is entered once only.
    """
    inner, below = schema, path
    while inner.get("type") == "array":
        inner, below = inner["items"], below + "[]"
    shape = inner.get("properties", {})
    place = first.setdefault(id(shape), below) if _count(shape) > SMALL_SHAPE else below
    yield Field(path, schema, required, like=None if place == below else place)
    if place != below:
        return
    for name, child in schema.get("properties", {}).items():
        needed = name in schema.get("required", [])
        yield from _fields(f"{path}.{name}" if path else name, child, first, required=needed)
    if "items" in schema:
        yield from _fields(f"{path}[]", schema["items"], first, required=False)


def _count(shape: dict[str, Any]) -> int:
    """How many fields a shape has in all."""
    return sum(1 + _count(child.get("items", child).get("properties", {})) for child in shape.values())


def _type(schema: dict[str, Any]) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if schema["type"] == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema["type"])


def _accepts(field: Field) -> str:
    """What the API server accepts, in few words."""
    schema = field.schema
    found = ["required"] if field.required else []
    found += [" or ".join(f"`{value}`" for value in schema["enum"])] if "enum" in schema else []
    words = {
        "minimum": "at least {}", "maximum": "at most {}", "minItems": "items: at least {}",
        "maxItems": "items: at most {}", "maxProperties": "keys: at most {}",
        "maxLength": "at most {} characters",
    }  # fmt: skip
    if not schema.get("x-kubernetes-int-or-string"):  # its bounds are a number's and a text's at once
        found += [text.format(schema[key]) for key, text in words.items() if key in schema]
    if "default" in schema:
        # safe_dump ends a bare scalar with an end-of-document line.
        default = yaml.safe_dump(schema["default"], default_flow_style=True).splitlines()[0]
        found.append(f"default `{default}`")
    return "; ".join(found)


def _table(schema: dict[str, Any]) -> str:
    """One row for each field below `schema`."""
    rows = ["| field | type | meaning | accepts |", "| --- | --- | --- | --- |"]
    for field in _fields("", schema, {}, required=False):
        if field.path and not field.path.endswith("[]"):
            meaning = " ".join(field.schema["description"].split()).replace("|", "\\|")
            meaning += f" Its fields are those of `{field.like}`." if field.like else ""
            rows.append(f"| `{field.path}` | {_type(field.schema)} | {meaning} | {_accepts(field)} |")
    return "\n".join(rows)


def _rules(schema: dict[str, Any]) -> str:
    """The messages of all validation rules, each with the places that it is for."""
    places: dict[str, list[str]] = {}
    for field in _fields("", schema, {}, required=False):
        for rule in field.schema.get("x-kubernetes-validations", []):
            places.setdefault(rule["message"], []).append(f"`{field.path or 'resource'}`")
    return "\n".join(f"- {', '.join(paths)}: {message}" for message, paths in places.items())


def reference(crd: dict[str, Any]) -> str:
    """The whole page."""
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    names = crd["spec"]["names"]
    introduction = INTRODUCTION.format(
        group=crd["spec"]["group"], version=version["name"], kind=names["kind"], short=names["shortNames"][0]
    )
    sections = [
        introduction,
        "## spec\n",
        _table(schema["properties"]["spec"]) + "\n",
        "## Rules\n\nWhat the API server refuses beyond types and bounds:\n",
        _rules(schema) + "\n",
        "## status\n",
        _table(schema["properties"]["status"]) + "\n",
    ]
    return "\n".join(sections)


def main() -> None:
    """Write the page."""
    crd = yaml.safe_load((ROOT / "crds" / "flamemcpservers.yaml").read_text())
    TARGET.write_text(reference(crd))


if __name__ == "__main__":
    main()
