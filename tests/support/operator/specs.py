# ruff: noqa: ANN401 - JSON values
"""Specs drawn from the CRD's own schema, so that a new field is tested from the day it is there."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from flame_operator.resource.server import Server, parse_server
from tests.support.operator.crd import SCHEMA
from tests.support.operator.fake_kube import server

SPEC = SCHEMA["properties"]["spec"]

NASTY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["$(HOME)", "$$(X)", "a: b", "{{ .Values }}", "\n- x", "$", "null", "\u2028"]
)

# What a pattern alone can't tell: most texts that look like these mean nothing.
SAMPLES: dict[str, st.SearchStrategy[Any]] = {
    "schedule": st.sampled_from(["@hourly", "@yearly", "*/5 0-6 1,15 * 1-5", "0 3 * * *"]),
    "timeZone": st.sampled_from(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"]),
}


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one per type
    """Values that a schema takes; lists and maps stay short."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        texts = ["100m", "0.5", "1", "2Gi", "128Mi", "1e3", "512M", "25%"]
        fitting = [text for text in texts if re.fullmatch(schema["pattern"], text)]
        return st.integers(1, min(4096, schema["maximum"])) | st.sampled_from(fitting)
    match schema["type"]:
        case "object" if members := _members(schema):
            return st.one_of(*(_object(schema, kind, members) for kind in members))
        case "object" if "additionalProperties" not in schema:
            return _object(schema)
        case "object":
            names = st.from_regex(r"(example\.com/)?[a-z]{1,9}", fullmatch=True)
            return st.dictionaries(names, values(schema["additionalProperties"]), max_size=2)
        case "array":
            bounds = {"min_size": schema.get("minItems", 0), "max_size": min(2, schema["maxItems"])}
            return st.lists(values(schema["items"]), unique_by=_key(schema), **bounds)
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "boolean":
            return st.booleans()
        case _ if "pattern" in schema:
            pattern = schema["pattern"].removeprefix("^").removesuffix("$")
            ascii_only = st.from_regex(
                f"(?:{pattern})", fullmatch=True, alphabet=st.characters(codec="ascii")
            )
            return ascii_only.filter(
                lambda text: schema.get("minLength", 0) <= len(text) <= schema["maxLength"]
            )
        case _:
            return NASTY


def _object(
    schema: dict[str, Any], kind: str | None = None, members: Mapping[str, str | None] = MappingProxyType({})
) -> st.SearchStrategy[Any]:
    """Objects of a schema; with `kind`, those of a union that have this type and its member."""
    member = members.get(kind or "")
    properties = schema.get("properties", {})
    fields = {
        name: SAMPLES[name] if name in SAMPLES else values(properties[name])
        for name in properties
        if name not in {*members.values()} - {member}
    }
    required = {*schema.get("required", []), *([member] if member else [])}
    if kind:
        fields["type"] = st.just(kind)
        required.add("type")
    return st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )


def _members(schema: dict[str, Any]) -> dict[str, str | None]:
    """A union's members by type: a member has its type's name, with or without `Ref` behind it."""
    properties = schema.get("properties", {})
    names = {name.lower().removesuffix("ref"): name for name in properties}
    members = {kind: names.get(kind.lower()) for kind in properties.get("type", {}).get("enum", [])}
    return members if any(members.values()) else {}


def _key(schema: dict[str, Any]) -> Any:
    keys = schema.get("x-kubernetes-list-map-keys")
    return (lambda item: tuple(item.get(key) for key in keys)) if keys else repr


# More than the CRD refuses; the others are drawn often enough.
_RESERVED = re.compile(
    "(FLAME_MCP|FASTMCP|PYTHON|LD|GIT|OPENSSL|BROWSER|PATH|BASH|GCONV|SSLKEY)", re.IGNORECASE
)


def _reserved(spec: dict[str, Any]) -> bool:
    return any(_RESERVED.match(env["name"]) for env in spec.get("env", []))


names = st.from_regex(
    r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True, alphabet=st.characters(codec="ascii")
)


_ANY = values(SPEC).filter(lambda spec: not _reserved(spec))


@st.composite
def _specs(draw: st.DrawFn) -> dict[str, Any]:
    """A composite, because hypothesis would print `_ANY` as pages of text."""
    spec: dict[str, Any] = draw(_ANY)
    return spec


specs = _specs()
"""Specs that the schema and the rules of unions take."""


@st.composite
def servers(draw: st.DrawFn) -> Server:
    """Servers as the API server lets them pass, read strictly."""
    return parse_server(server(draw(names), **draw(specs)), forbid_unknown=True)
