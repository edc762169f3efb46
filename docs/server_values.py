# ruff: noqa: ANN401 - JSON values
"""Writes what the chart flame-mcp-server takes over from the CRD: its values' schema and fields' defaults.

`python -m docs.server_values`, part of `make docs`. So a field of the resource has one description, one bound
and one default, and Helm checks it by the same rules as the API server.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CRD = ROOT / "crds" / "flamemcpservers.yaml"
CHART = ROOT / "helm" / "flame-mcp-server"
SCHEMA, DEFAULTS = CHART / "values.schema.json", CHART / "files" / "defaults.json"

_KEPT = (
    "description", "enum", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength",
    "minProperties", "minimum", "pattern", "required",
)  # fmt: skip
_TEXT = {"type": ["string", "null"], "maxLength": 253}
_SECRET_NAME = {**_TEXT, "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
_OWN: dict[str, Any] = {
    # Not closed: a parent chart has values of its own here.
    "global": {
        "type": "object",
        "additionalProperties": True,
        "properties": {
            "imageRegistry": {
                **_TEXT,
                "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9][-a-z0-9._]*)*)?$",
            }
        },
    },
    "mode": {"enum": ["standalone", "withQdrant", "fullStack"]},
    "operator": {"properties": {"enabled": {"type": "boolean"}}},
    "secrets": {
        "properties": {
            "token": {"properties": {"existingSecret": _SECRET_NAME, "value": {**_TEXT, "minLength": 16}}},
            "qdrant": {
                "properties": {
                    "existingSecret": _SECRET_NAME,
                    "apiKey": {**_TEXT, "minLength": 16},
                    "readOnlyApiKey": {**_TEXT, "minLength": 16},
                }
            },
        }
    },
    "clusterDomain": {
        "type": "string",
        "maxLength": 253,
        "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    },
    "openshift": {"properties": {"enabled": {"type": "boolean"}}},
    "httpIssuers": {"properties": {"enabled": {"type": "boolean"}}},
    "dnsPorts": {
        "type": "array",
        "minItems": 1,
        "maxItems": 8,
        "uniqueItems": True,
        "items": {"type": "integer", "minimum": 1, "maximum": 65535},
    },
    "nameOverride": {"type": "string"},
    "fullnameOverride": {"type": "string"},
}
"""The values that are no fields of the resource."""


def spec_schema() -> dict[str, Any]:
    """The schema of the resource's spec, as the CRD has it."""
    crd = yaml.safe_load(CRD.read_text())
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def values_schema() -> dict[str, Any]:
    """The JSON schema of all values."""
    fields = {name: _optional(_json_schema(field)) for name, field in spec_schema()["properties"].items()}
    own = {name: _closed(schema) for name, schema in _OWN.items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the flame-mcp-server chart",
        "type": "object",
        "additionalProperties": False,
        "properties": own | fields,
    }


def _json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema of Kubernetes as JSON schema; unknown fields are refused, as `kubectl` does."""
    found = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    elif "type" in schema:
        found["type"] = schema["type"]
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        found["uniqueItems"] = True
    if "items" in schema:
        found["items"] = _json_schema(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _json_schema(schema["additionalProperties"])
    elif schema.get("type") == "object":
        found["properties"] = {
            name: _json_schema(field) for name, field in schema.get("properties", {}).items()
        }
        found["additionalProperties"] = False
    return found


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """A field that values.yaml leaves out by saying null."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, **enum, "type": [*kinds, "null"]}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in schema or "additionalProperties" in schema:
        return schema
    properties = {name: _closed(field) for name, field in schema["properties"].items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def defaults() -> dict[str, Any]:
    """The defaults of the spec's fields: a tree of `properties`, `items` and `default`, and nothing else."""
    return _defaults(spec_schema()) | {"default": {}}


def _defaults(schema: dict[str, Any]) -> dict[str, Any]:
    found = {"default": schema["default"]} if "default" in schema else {}
    properties = {name: _defaults(field) for name, field in schema.get("properties", {}).items()}
    if kept := {name: tree for name, tree in properties.items() if tree}:
        found["properties"] = kept
    if "items" in schema and (items := _defaults(schema["items"])):
        found["items"] = items
    return found


def text(value: Any) -> str:
    """A file's text."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes both files."""
    SCHEMA.write_text(text(values_schema()))
    DEFAULTS.write_text(text(defaults()))


if __name__ == "__main__":
    main()
