# ruff: noqa: ANN401 - JSON values
"""Specs drawn from the CRD's own schema, so that a new field is tested from the day it is there."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from flame_operator.model import Server, parse_server
from tests.flame_operator.fake_kube import server

CRD = yaml.safe_load((Path(__file__).parents[2] / "crds/flamemcpservers.yaml").read_text())
SPEC = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

NASTY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["$(HOME)", "$$(X)", "a: b", "{{ .Values }}", "\n- x", "$", "null", "\u2028"]
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one per type
    """Values that a schema takes; lists and maps stay short."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(1, 4096) | st.sampled_from(["100m", "0.5", "1", "2Gi", "128Mi", "1e3", "512M"])
    match schema["type"]:
        case "object" if "properties" in schema:
            required = set(schema.get("required", []))
            fields = {name: values(child) for name, child in schema["properties"].items()}
            return st.fixed_dictionaries(
                {name: field for name, field in fields.items() if name in required},
                optional={name: field for name, field in fields.items() if name not in required},
            )
        case "object":
            names = st.from_regex(r"(example\.com/)?[a-z]{1,9}", fullmatch=True)
            return st.dictionaries(names, values(schema["additionalProperties"]), max_size=3)
        case "array":
            return st.lists(values(schema["items"]), max_size=3, unique_by=_key(schema))
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


def _key(schema: dict[str, Any]) -> Any:
    keys = schema.get("x-kubernetes-list-map-keys")
    return (lambda item: tuple(item.get(key) for key in keys)) if keys else repr


def _reserved(spec: dict[str, Any]) -> bool:
    return any(env["name"].startswith(("FLAME_MCP_", "FASTMCP_")) for env in spec.get("env", []))


specs = values(SPEC).filter(lambda spec: not _reserved(spec))
names = st.from_regex(
    r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True, alphabet=st.characters(codec="ascii")
)


@st.composite
def servers(draw: st.DrawFn) -> Server:
    """Servers as the API server lets them pass, read strictly."""
    return parse_server(server(draw(names), **draw(specs)), forbid_unknown=True)
