"""The ConfigMap with the server's environment."""

from flame_operator.desired.naming import HTTP_PORT, child
from flame_operator.model import CONFIG_MAP, Manifest, Server

SHUTDOWN_GRACE_SECONDS = 25


def config_map(server: Server) -> Manifest:
    """All settings that the operator decides; pods read them through `envFrom`."""
    spec = server.spec
    return {
        **child(CONFIG_MAP, server),
        "data": {
            "FLAME_MCP_INDEX_DIR": "/opt/flame-mcp/index",
            "FLAME_MCP_HOST": "0.0.0.0",  # noqa: S104 - inside a pod, which the Service must reach
            "FLAME_MCP_PORT": str(HTTP_PORT),
            "FLAME_MCP_EMBEDDING_TYPE": spec.embedding.type,
            "FLAME_MCP_DEFAULT_LIMIT": str(spec.search.default_limit),
            "FLAME_MCP_MAX_TOKENS": str(spec.search.max_tokens),
            "FLAME_MCP_LOG_LEVEL": spec.observability.log_level,
            "FLAME_MCP_LOG_FORMAT": spec.observability.log_format,
            "FLAME_MCP_SHUTDOWN_GRACE_SECONDS": str(SHUTDOWN_GRACE_SECONDS),
        },
    }
