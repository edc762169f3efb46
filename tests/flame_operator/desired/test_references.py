"""The Secrets and ConfigMaps that a server needs."""

from collections.abc import Iterator
from typing import Any

import pytest

from flame_operator.desired.references import Reference, references
from flame_operator.resource.kinds import CONFIG_MAP, SECRET
from flame_operator.resource.server import parse_server
from tests.support.operator.children import parse
from tests.support.operator.crd import SCHEMA
from tests.support.operator.fake_kube import server

EXTERNAL = {
    "type": "External",
    "external": {
        "url": "https://qdrant.example",
        "apiKeySecretRef": {"name": "qdrant", "key": "api-key"},
        "caBundleConfigMapRef": {"name": "ca", "key": "ca.crt"},
    },
}


def test_nothing_is_needed_by_default() -> None:
    assert references(parse()) == ()


def test_every_key_is_named_with_its_field() -> None:
    one = parse(
        auth={"type": "Bearer", "bearer": {"tokenSecretRef": {"name": "clients", "key": "token"}}},
        embedding={
            "type": "AzureOpenAI",
            "azureOpenAI": {
                "endpoint": "https://a.example",
                "deployment": "d",
                "apiKeySecretRef": {"name": "azure", "key": "key"},
            },
        },
        vectorStore=EXTERNAL,
        imagePullSecrets=[{"name": "registry"}, {"name": "mirror"}],
        ingress={"host": "a.example", "tlsSecretRef": {"name": "tls"}},
    )
    assert references(one) == (
        Reference(SECRET, "clients", "token", "spec.auth.bearer.tokenSecretRef", rolls=True),
        Reference(SECRET, "azure", "key", "spec.embedding.azureOpenAI.apiKeySecretRef", rolls=True),
        Reference(SECRET, "qdrant", "api-key", "spec.vectorStore.external.apiKeySecretRef", rolls=True),
        Reference(CONFIG_MAP, "ca", "ca.crt", "spec.vectorStore.external.caBundleConfigMapRef", rolls=True),
        Reference(SECRET, "registry", None, "spec.imagePullSecrets[0]", rolls=False),
        Reference(SECRET, "mirror", None, "spec.imagePullSecrets[1]", rolls=False),
        Reference(SECRET, "tls", "tls.crt", "spec.ingress.tlsSecretRef", rolls=False),
    )


def test_the_generated_token_is_the_operators_own() -> None:
    one = parse(
        auth={"type": "Bearer"},
        embedding={
            "type": "OpenAI",
            "openAI": {"model": "m", "apiKeySecretRef": {"name": "openai", "key": "k"}},
        },
    )
    assert references(one) == (
        Reference(SECRET, "docs", "token", "", rolls=True, own=True),
        Reference(SECRET, "openai", "k", "spec.embedding.openAI.apiKeySecretRef", rolls=True),
    )


def test_members_beside_another_type_are_not_meant() -> None:
    one = parse(
        auth={"bearer": {"tokenSecretRef": {"name": "clients", "key": "token"}}},
        embedding={"openAI": {"model": "m", "apiKeySecretRef": {"name": "openai", "key": "k"}}},
        vectorStore={**EXTERNAL, "type": "Embedded"},
    )
    assert references(one) == ()


def _references(schema: dict[str, Any], path: str = "spec") -> Iterator[str]:
    """The fields of the schema that name another object."""
    for name, field in schema.get("properties", {}).items():
        if name.endswith("Ref"):
            yield f"{path}.{name}"
        else:
            yield from _references(field, f"{path}.{name}")
    if "items" in schema:
        yield from _references(schema["items"], f"{path}[0]")


def _spec_with(path: str) -> dict[str, Any]:
    """The least spec in which the field names an object."""
    *way, last = path.removeprefix("spec.").split(".")
    reference = {"claimName": "x"} if last == "persistentVolumeClaimRef" else {"name": "x", "key": "k"}
    spec: dict[str, Any] = {last: reference}
    for name in reversed(way):
        spec = {name[:-3]: [{"name": "one", **spec}]} if name.endswith("[0]") else {name: spec}
    types = {
        "auth": "Bearer",
        "embedding": "OpenAI" if "openAI" in way else "AzureOpenAI",
        "vectorStore": "External",
    }
    needs = {
        "azureOpenAI": {"endpoint": "https://a.example", "deployment": "d"}, "openAI": {"model": "m"},
        "external": {"url": "https://q.example"}, "ingress": {"host": "a.example"}, "git": {"url": "https://g.example"},
        "http": {"url": "https://h.example/a.zip"},
    }  # fmt: skip
    place = spec
    for name in way:
        place = place[name[:-3]][0] if name.endswith("[0]") else place[name]
        place |= needs.get(name, {})
    return {name: ({"type": types[name]} if name in types else {}) | value for name, value in spec.items()}


@pytest.mark.parametrize("path", sorted(_references(SCHEMA["properties"]["spec"])))
def test_every_field_that_names_an_object_is_a_reference_that_is_checked(path: str) -> None:
    """Whatever is missing is told: a pod that mounts it would wait for ever, and say so only in an Event."""
    (found,) = references(parse_server(server(**_spec_with(path))))
    assert (found.field, found.name) == (path, "x")
