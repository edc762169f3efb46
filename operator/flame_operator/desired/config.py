"""Makes the ConfigMap with the environment variables of a server's pods."""

from collections.abc import Mapping

from flame_operator.desired import references
from flame_operator.desired.addresses import hosts, path_prefix, trusted_proxies
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import HTTP_PORT, METRICS_PORT, child, qdrant_url
from flame_operator.desired.ways_out import ca_setting
from flame_operator.resource.kinds import CONFIG_MAP, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import azure_openai, external_qdrant, managed_qdrant, oidc, openai

SHUTDOWN_GRACE_SECONDS = 25
_ALIAS = "flame-docs"

Environment = dict[str, str | int | None]
"""Environment variables, without the prefix `FLAME_MCP_`, and their values; None leaves a variable out."""


def alias(server: Server) -> str:
    """The name in Qdrant that stands for the collection that is searched.

    A resource that loads docs into a Qdrant that others may use has a name of its own there; one that only
    reads finds what `flame-mcp index publish` loads by default. The dots keep namespace and name apart.
    """
    qdrant = external_qdrant(server)
    if qdrant is None:
        return _ALIAS
    own = f"{_ALIAS}.{server.key.namespace}.{server.key.name}"
    return qdrant.collection or (own if server.spec.ingestion else _ALIAS)


def config_map(server: Server, defaults: Defaults) -> Manifest:
    """The ConfigMap with all settings that the operator decides; pods read it through `envFrom`.

    It holds no secrets, only the paths of the files that hold them.
    """
    files = {
        credential.file: f"{references.CREDENTIALS_PATH}/{credential.file}"
        for credential in references.credentials(server)
    }
    environment = {
        **_process(server),
        **_ways_in(server, defaults),
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
        "LOG_LEVEL": observability.log_level,
        "LOG_FORMAT": observability.log_format,
        "TRACING_ENDPOINT": observability.tracing.endpoint if observability.tracing else None,
        "SHUTDOWN_GRACE_SECONDS": SHUTDOWN_GRACE_SECONDS,
    }


def _ways_in(server: Server, defaults: Defaults) -> Environment:
    return {
        "ALLOWED_HOSTS": ",".join(hosts(server, defaults.cluster_domain)),
        "ALLOWED_ORIGINS": ",".join(server.spec.cors.allowed_origins) or None,
        "TRUSTED_PROXIES": ",".join(trusted_proxies(server)) or None,
        "PATH_PREFIX": path_prefix(server) or None,
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
            "AZURE_OPENAI_BATCH_SIZE": azure.batch_size,
            "AZURE_OPENAI_ENCODING_FORMAT": azure.encoding_format,
            "AZURE_OPENAI_CLOUD": azure.workload_identity.cloud if azure.workload_identity else None,
            "AZURE_OPENAI_API_KEY_FILE": key_file,
        }
    if endpoint := openai(server):
        environment |= {
            "OPENAI_BASE_URL": endpoint.base_url,
            "OPENAI_MODEL": endpoint.model,
            "OPENAI_DIMENSIONS": endpoint.dimensions,
            "OPENAI_BATCH_SIZE": endpoint.batch_size,
            "OPENAI_ENCODING_FORMAT": endpoint.encoding_format,
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
            "QDRANT_COLLECTION": alias(server),
            "QDRANT_API_KEY_FILE": files.get(references.QDRANT_API_KEY),
        }
    qdrant = external_qdrant(server)
    if qdrant is None:
        return {"VECTOR_STORE_TYPE": "Embedded"}
    return {
        "VECTOR_STORE_TYPE": "Qdrant",
        "QDRANT_URL": qdrant.url,
        "QDRANT_COLLECTION": alias(server),
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
            "AUTH_OIDC_ALLOW_HTTP": None if issuer.issuer.startswith("https://") else "true",
            "AUTH_OIDC_AUDIENCE": issuer.audience,
            "AUTH_OIDC_REQUIRED_SCOPES": " ".join(issuer.required_scopes) or None,
        }
    return environment
