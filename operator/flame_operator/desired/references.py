"""The Secrets and ConfigMaps that a server needs: what the spec names, and the generated token."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from flame_operator.desired.naming import TOKEN_KEY
from flame_operator.desired.unions import azure_openai, external_qdrant, generates_token, openai
from flame_operator.model import CONFIG_MAP, SECRET, Kind, Server
from flame_operator.spec.common import KeyRef

CREDENTIALS_PATH = "/etc/flame-mcp/credentials"
"""The folder of all credentials in the container."""
AUTH_TOKEN = "auth-token"  # noqa: S105 - a file's name
EMBEDDING_API_KEY = "embedding-api-key"
QDRANT_API_KEY = "qdrant-api-key"
QDRANT_CA = "qdrant-ca.crt"


@dataclass(frozen=True)
class Reference:
    """A key of an object in the server's namespace."""

    kind: Kind
    name: str
    key: str | None
    """None when the object alone matters."""
    field: str
    """Where the spec names it; empty for the operator's own Secret."""
    rolls: bool
    """Whether pods read it when they start, so that a change has to roll them."""
    own: bool = False


class Credential(NamedTuple):
    """A reference that pods read, and the file that they find it in."""

    file: str
    reference: Reference


def credentials(server: Server) -> tuple[Credential, ...]:
    """The files below `CREDENTIALS_PATH`; only what the chosen type of a union asks for."""
    return tuple(_credentials(server))


def references(server: Server) -> tuple[Reference, ...]:
    """Every key that the server's children refer to."""
    spec = server.spec
    pull = (
        Reference(SECRET, secret.name, ".dockerconfigjson", f"spec.imagePullSecrets[{index}]", rolls=False)
        for index, secret in enumerate(spec.image_pull_secrets)
    )
    tls = spec.ingress.tls_secret_ref if spec.ingress else None
    return (
        *(credential.reference for credential in credentials(server)),
        *pull,
        *((Reference(SECRET, tls.name, "tls.crt", "spec.ingress.tlsSecretRef", rolls=False),) if tls else ()),
    )


def _credentials(server: Server) -> Iterator[Credential]:
    bearer = server.spec.auth.bearer
    if generates_token(server):
        own = Reference(SECRET, server.key.name, TOKEN_KEY, "", rolls=True, own=True)
        yield Credential(AUTH_TOKEN, own)
    elif server.spec.auth.type == "Bearer" and bearer:
        yield from _file(AUTH_TOKEN, SECRET, bearer.token_secret_ref, "auth.bearer.tokenSecretRef")
    if azure := azure_openai(server):
        field = "embedding.azureOpenAI.apiKeySecretRef"
        yield from _file(EMBEDDING_API_KEY, SECRET, azure.api_key_secret_ref, field)
    if endpoint := openai(server):
        field = "embedding.openAI.apiKeySecretRef"
        yield from _file(EMBEDDING_API_KEY, SECRET, endpoint.api_key_secret_ref, field)
    if qdrant := external_qdrant(server):
        field = "vectorStore.external.apiKeySecretRef"
        yield from _file(QDRANT_API_KEY, SECRET, qdrant.api_key_secret_ref, field)
        field = "vectorStore.external.caBundleConfigMapRef"
        yield from _file(QDRANT_CA, CONFIG_MAP, qdrant.ca_bundle_config_map_ref, field)


def _file(file: str, kind: Kind, ref: KeyRef | None, field: str) -> Iterator[Credential]:
    if ref is not None:
        yield Credential(file, Reference(kind, ref.name, ref.key, f"spec.{field}", rolls=True))
