"""Writes docs/resource.md, the reference of all fields, from the CRD's schema: `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "resource.md"
INTRODUCTION = """\
# FlameMCPServer

`apiVersion: {group}/{version}`, `kind: {kind}`, short name `{short}`. All fields of `spec` are optional.

<!-- Written by `make docs` from crds/flamemcpservers.yaml: change the schema, not this file. -->
"""


def _type(schema: dict[str, Any]) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if schema["type"] == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema["type"])


def _bounds(schema: dict[str, Any]) -> str:
    """What the API server accepts, in few words."""
    found = [" or ".join(f"`{value}`" for value in schema["enum"])] if "enum" in schema else []
    words = {
        "minimum": "at least {}", "maximum": "at most {}", "maxItems": "at most {} items",
        "maxProperties": "at most {} keys",
    }  # fmt: skip
    found += [words[key].format(schema[key]) for key in words if key in schema]
    if "maxLength" in schema and "enum" not in schema:
        found.append(f"at most {schema['maxLength']} characters")
    if "default" in schema:
        # safe_dump ends a bare scalar with an end-of-document line.
        default = yaml.safe_dump(schema["default"], default_flow_style=True).splitlines()[0]
        found.append(f"default `{default}`")
    return "; ".join(found)


def _rows(path: str, schema: dict[str, Any]) -> Iterator[str]:
    """One table row for each field below `path`, depth first."""
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        description = " ".join(field.get("description", "").split()).replace("|", "\\|")
        yield f"| `{here}` | {_type(field)} | {description} | {_bounds(field)} |"
        inner = field
        while inner.get("type") == "array":
            inner, here = inner["items"], here + "[]"
        if inner.get("type") == "object":
            yield from _rows(here, inner)


def _rules(path: str, schema: dict[str, Any]) -> Iterator[str]:
    """The messages of all validation rules."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield f"- `{path or 'resource'}`: {rule['message']}"
    for name, field in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}" if path else name, field)
    if "items" in schema:
        yield from _rules(f"{path}[]", schema["items"])


def _table(path: str, schema: dict[str, Any]) -> str:
    head = "| field | type | meaning | accepts |\n| --- | --- | --- | --- |"
    return "\n".join([head, *_rows(path, schema)])


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
        _table("", schema["properties"]["spec"]) + "\n",
        "## Rules\n\nWhat the API server refuses beyond types and bounds:\n",
        "\n".join(_rules("", schema)) + "\n",
        "## status\n",
        _table("", schema["properties"]["status"]) + "\n",
    ]
    return "\n".join(sections)


def main() -> None:
    """Write the page."""
    crd = yaml.safe_load((ROOT / "crds" / "flamemcpservers.yaml").read_text())
    TARGET.write_text(reference(crd))


if __name__ == "__main__":
    main()
