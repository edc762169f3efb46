"""Lists the references of a server.

They are the Secrets, ConfigMaps and volume claims that its spec names, and generated Secrets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from flame_operator.desired.naming import QDRANT_READ_KEY, QDRANT_WRITE_KEY, TOKEN_KEY
from flame_operator.resource.kinds import CONFIG_MAP, QDRANT, SECRET, VOLUME_CLAIM, Kind
from flame_operator.resource.server import Server
from flame_operator.resource.spec.common import KeyRef
from flame_operator.resource.unions import (
    azure_openai,
    external_qdrant,
    generates_token,
    managed_qdrant,
    openai,
)

CREDENTIALS_PATH = "/etc/flame-mcp/credentials"
"""The folder in a container that holds all credential files."""
AUTH_TOKEN = "auth-token"  # noqa: S105 - a file's name
EMBEDDING_API_KEY = "embedding-api-key"
QDRANT_API_KEY = "qdrant-api-key"
QDRANT_CA = "qdrant-ca.crt"


@dataclass(frozen=True)
class Reference:
    """A key of a Secret or ConfigMap, or a volume claim, in the server's namespace that it refers to."""

    kind: Kind
    name: str
    key: str | None
    """None when only the object as a whole matters."""
    field: str
    """The field of the spec that names the object; empty for a generated Secret."""
    rolls: bool
    """Whether pods read it when they start, so that a change has to roll them."""
    loads: bool = False
    """Whether a run loads it as docs, so that a change starts one."""
    own: bool = False
    """Whether the operator generates the Secret."""


class Credential(NamedTuple):
    """A reference that pods read, and the name of the file that holds its value in the container."""

    file: str
    reference: Reference


def credentials(server: Server) -> tuple[Credential, ...]:
    """The credential files of the server's pods; only those that the chosen types of unions need."""
    return tuple(_credentials(server))


def caller_token(server: Server) -> Reference | None:
    """The reference to the token that callers have to present, where the spec names a Secret for it."""
    return next((one.reference for one in credentials(server) if one.file == AUTH_TOKEN), None)


def references(server: Server) -> tuple[Reference, ...]:
    """All references of the server: every key that its children refer to."""
    spec = server.spec
    pull = (
        # Kubernetes takes two types of Secrets here, with other keys; OpenShift makes those of the older one.
        Reference(SECRET, secret.name, None, f"spec.imagePullSecrets[{index}]", rolls=False)
        for index, secret in enumerate(spec.image_pull_secrets)
    )
    tls = spec.ingress.tls_secret_ref if spec.ingress else None
    return (
        *(credential.reference for credential in credentials(server)),
        *_ca(server),
        *pull,
        *_sources(server),
        *((Reference(SECRET, tls.name, "tls.crt", "spec.ingress.tlsSecretRef", rolls=False),) if tls else ()),
    )


def _ca(server: Server) -> Iterator[Reference]:
    """The reference to the certificates that every pod trusts besides the public ones."""
    if bundle := server.spec.egress.ca_bundle_config_map_ref:
        field = "spec.egress.caBundleConfigMapRef"
        yield Reference(CONFIG_MAP, bundle.name, bundle.key, field, rolls=True)


def _sources(server: Server) -> Iterator[Reference]:
    """The references of the sources of docs, which ingestion's pods need and the server's pods don't."""
    for index, source in enumerate(server.spec.ingestion.sources if server.spec.ingestion else ()):
        field = f"spec.ingestion.sources[{index}]"
        remote, where = source.git or source.http, f"{field}.{'git' if source.git else 'http'}"
        if remote and remote.credentials_secret_ref:
            name = remote.credentials_secret_ref.name
            yield Reference(SECRET, name, "password", f"{where}.credentialsSecretRef", rolls=False)
        if remote and (bundle := remote.ca_bundle_config_map_ref):
            yield Reference(CONFIG_MAP, bundle.name, bundle.key, f"{where}.caBundleConfigMapRef", rolls=False)
        if claim := source.persistent_volume_claim_ref:
            place = f"{field}.persistentVolumeClaimRef"
            yield Reference(VOLUME_CLAIM, claim.claim_name, None, place, rolls=False)
        if source.config_map_ref:
            name = source.config_map_ref.name
            yield Reference(CONFIG_MAP, name, None, f"{field}.configMapRef", rolls=False, loads=True)


def _credentials(server: Server) -> Iterator[Credential]:
    bearer = server.spec.auth.bearer
    if generates_token(server):
        own = Reference(SECRET, server.key.name, TOKEN_KEY, "", rolls=True, own=True)
        yield Credential(AUTH_TOKEN, own)
    elif server.spec.auth.type == "Bearer" and bearer:
        yield from _file(AUTH_TOKEN, SECRET, bearer.token_secret_ref, "auth.bearer.tokenSecretRef")
    yield from embedding_credentials(server)
    if managed_qdrant(server):
        yield _own_qdrant_key(server, QDRANT_READ_KEY)
    yield from _external_qdrant(server)


def ingestion_credentials(server: Server) -> tuple[Credential, ...]:
    """The credential files that ingestion needs to make and write vectors; those of sources are separate."""
    own = (_own_qdrant_key(server, QDRANT_WRITE_KEY),) if managed_qdrant(server) else ()
    return (*embedding_credentials(server), *own, *_external_qdrant(server))


def _own_qdrant_key(server: Server, key: str) -> Credential:
    name = f"{server.key.name}{QDRANT}"
    return Credential(QDRANT_API_KEY, Reference(SECRET, name, key, "", rolls=True, own=True))


def embedding_credentials(server: Server) -> Iterator[Credential]:
    """The file with the API key for the embedding service; none when it has no key."""
    if azure := azure_openai(server):
        field = "embedding.azureOpenAI.apiKeySecretRef"
        yield from _file(EMBEDDING_API_KEY, SECRET, azure.api_key_secret_ref, field)
    if endpoint := openai(server):
        field = "embedding.openAI.apiKeySecretRef"
        yield from _file(EMBEDDING_API_KEY, SECRET, endpoint.api_key_secret_ref, field)


def _external_qdrant(server: Server) -> Iterator[Credential]:
    if qdrant := external_qdrant(server):
        field = "vectorStore.external.apiKeySecretRef"
        yield from _file(QDRANT_API_KEY, SECRET, qdrant.api_key_secret_ref, field)
        field = "vectorStore.external.caBundleConfigMapRef"
        yield from _file(QDRANT_CA, CONFIG_MAP, qdrant.ca_bundle_config_map_ref, field)


def _file(file: str, kind: Kind, ref: KeyRef | None, field: str) -> Iterator[Credential]:
    if ref is not None:
        yield Credential(file, Reference(kind, ref.name, ref.key, f"spec.{field}", rolls=True))
