"""Makes the ConfigMap with the environment variables of a server's pods."""

from collections.abc import Mapping

from flame_operator.desired import references
from flame_operator.desired.naming import HTTP_PORT, METRICS_PORT, child, hosts, qdrant_url
from flame_operator.desired.ways_out import ca_setting
from flame_operator.resource.kinds import CONFIG_MAP, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import azure_openai, external_qdrant, managed_qdrant, oidc, openai

SHUTDOWN_GRACE_SECONDS = 25
MANAGED_COLLECTION = "flame-docs"
"""The alias of the collection in a Qdrant that the operator runs."""

Environment = dict[str, str | int | None]
"""Environment variables, without the prefix `FLAME_MCP_`, and their values; None leaves a variable out."""


def config_map(server: Server) -> Manifest:
    """The ConfigMap with all settings that the operator decides; pods read it through `envFrom`.

    It holds no secrets, only the paths of the files that hold them.
    """
    files = {
        credential.file: f"{references.CREDENTIALS_PATH}/{credential.file}"
        for credential in references.credentials(server)
    }
    environment = {
        **_process(server),
        **embedding(server, files.get(references.EMBEDDING_API_KEY)),
        **vector_store(server, files),
        **_search(server),
        **_auth(server, files.get(references.AUTH_TOKEN)),
    }
    return {
        **child(CONFIG_MAP, server),
        "data": {f"FLAME_MCP_{name}": str(value) for name, value in environment.items() if value is not None},
    }


def _process(server: Server) -> Environment:
    observability = server.spec.observability
    return {
        "CA_FILE": ca_setting(server),
        "INDEX_DIR": "/opt/flame-mcp/index",
        "HOST": "::",  # all addresses of both families, as the pod has them
        "PORT": HTTP_PORT,
        "METRICS_PORT": METRICS_PORT,
        "ALLOWED_HOSTS": ",".join(hosts(server)),
        "LOG_LEVEL": observability.log_level,
        "LOG_FORMAT": observability.log_format,
        "TRACING_ENDPOINT": observability.tracing.endpoint if observability.tracing else None,
        "SHUTDOWN_GRACE_SECONDS": SHUTDOWN_GRACE_SECONDS,
    }


def embedding(server: Server, key_file: str | None) -> Environment:
    """The environment variables that configure the embedding.

    Args:
        server: The server.
        key_file: The path of the file with the API key; None when there is no key.
    """
    environment: Environment = {"EMBEDDING_TYPE": server.spec.embedding.type}
    if azure := azure_openai(server):
        environment |= {
            "AZURE_OPENAI_ENDPOINT": azure.endpoint,
            "AZURE_OPENAI_DEPLOYMENT": azure.deployment,
            "AZURE_OPENAI_API_VERSION": azure.api_version,
            "AZURE_OPENAI_DIMENSIONS": azure.dimensions,
            "AZURE_OPENAI_API_KEY_FILE": key_file,
        }
    if endpoint := openai(server):
        environment |= {
            "OPENAI_BASE_URL": endpoint.base_url,
            "OPENAI_MODEL": endpoint.model,
            "OPENAI_DIMENSIONS": endpoint.dimensions,
            "OPENAI_API_KEY_FILE": key_file,
        }
    return environment


def vector_store(server: Server, files: Mapping[str, str]) -> Environment:
    """The environment variables that configure the vector store.

    Args:
        server: The server.
        files: The paths of the credential files, by their names.
    """
    if managed_qdrant(server):
        return {
            "VECTOR_STORE_TYPE": "Qdrant",
            "QDRANT_URL": qdrant_url(server),
            "QDRANT_COLLECTION": MANAGED_COLLECTION,
            "QDRANT_API_KEY_FILE": files.get(references.QDRANT_API_KEY),
        }
    qdrant = external_qdrant(server)
    if qdrant is None:
        return {"VECTOR_STORE_TYPE": "Embedded"}
    return {
        "VECTOR_STORE_TYPE": "Qdrant",
        "QDRANT_URL": qdrant.url,
        "QDRANT_COLLECTION": qdrant.collection,
        "QDRANT_API_KEY_FILE": files.get(references.QDRANT_API_KEY),
        "QDRANT_CA_FILE": files.get(references.QDRANT_CA),
    }


def _search(server: Server) -> Environment:
    search = server.spec.search
    limit = search.rate_limit
    return {
        "DEFAULT_LIMIT": search.default_limit,
        "MAX_TOKENS": search.max_tokens,
        "RATE_LIMIT_PER_MINUTE": limit.requests_per_minute if limit else None,
        "RATE_LIMIT_BURST": limit.burst if limit else None,
    }


def _auth(server: Server, token_file: str | None) -> Environment:
    environment: Environment = {"AUTH_TYPE": server.spec.auth.type, "AUTH_TOKEN_FILE": token_file}
    if issuer := oidc(server):
        environment |= {
            "AUTH_OIDC_ISSUER": issuer.issuer,
            "AUTH_OIDC_AUDIENCE": issuer.audience,
            "AUTH_OIDC_REQUIRED_SCOPES": " ".join(issuer.required_scopes) or None,
        }
    return environment
