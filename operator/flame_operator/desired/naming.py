"""Names, labels and the metadata that all children share."""

from typing import Literal

from flame_operator.resource.kinds import (
    GROUP,
    INSTANCE,
    MANAGER,
    QDRANT,
    QDRANT_PEERS,
    SERVER,
    Kind,
    Manifest,
)
from flame_operator.resource.server import Server

HTTP_PORT_NAME = "http"
HTTP_PORT = 8000
METRICS_PORT_NAME = "metrics"
METRICS_PORT = 9090
TOKEN_KEY = "token"  # noqa: S105 - where the generated Secret holds the token

QDRANT_PORT = 6333
QDRANT_PEER_PORT = 6335
QDRANT_WRITE_KEY = "api-key"
"""Where the generated Secret holds what may write; only ingestion has it."""
QDRANT_READ_KEY = "read-only-api-key"

Component = Literal["server", "qdrant", "ingestion"]


def selector_labels(name: str, component: Component = "server") -> dict[str, str]:
    """What finds pods of a server. Selectors are immutable, so nothing that may ever change belongs here."""
    return {"app.kubernetes.io/name": f"flame-mcp-{component}", INSTANCE: name}


def labels(name: str, component: Component = "server") -> dict[str, str]:
    """The labels of every child and pod."""
    return {
        **selector_labels(name, component),
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": "flame-mcp",
        "app.kubernetes.io/component": component,
    }


def child(  # noqa: PLR0913, PLR0917 - all of it is a head
    kind: Kind,
    server: Server,
    annotations: dict[str, str] | None = None,
    own: dict[str, str] | None = None,
    suffix: str = "",
    component: Component = "server",
) -> Manifest:
    """A child's head: its kind, and metadata with labels and the server as controlling owner.

    Args:
        kind: What it is.
        server: Whose it is.
        annotations: The user's, of which none may pass for one of the operator's.
        own: The operator's.
        suffix: What its name has behind the server's.
        component: Which part of the server it belongs to.
    """
    name, namespace = server.key.name, server.key.namespace
    users = {key: value for key, value in (annotations or {}).items() if not key.startswith(f"{GROUP}/")}
    manifest: Manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name + suffix,
            "namespace": namespace,
            "labels": labels(name, component),
            "annotations": users | (own or {}),
            "ownerReferences": [
                {
                    "apiVersion": SERVER.api_version,
                    "kind": SERVER.kind,
                    "name": name,
                    "uid": server.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }
    return manifest


def qdrant_url(server: Server) -> str:
    """Where the server's own Qdrant is reached."""
    return f"http://{server.key.name}{QDRANT}.{server.key.namespace}.svc:{QDRANT_PORT}"


def qdrant_node_url(server: Server) -> str:
    """Where the first of its pods is reached."""
    name, namespace = server.key.name, server.key.namespace
    return f"http://{name}{QDRANT}-0.{name}{QDRANT_PEERS}.{namespace}.svc:{QDRANT_PORT}"


def url(server: Server) -> str:
    """Where MCP clients inside the cluster reach the server."""
    port = server.spec.service.port
    return f"http://{server.key.name}.{server.key.namespace}.svc{'' if port == 80 else f':{port}'}/mcp"


def hosts(server: Server) -> tuple[str, ...]:
    """The host names by which clients may address the server; `*.` at the start stands for any subdomain."""
    spec, (namespace, name) = server.spec, server.key
    service = f"{name}.{namespace}.svc"
    cluster = (name, f"{name}.{namespace}", service, f"{service}.cluster.local")
    ingress = (spec.ingress.host,) if spec.ingress else ()
    route = spec.http_route.hostnames if spec.http_route else ()
    return tuple(dict.fromkeys((*cluster, *ingress, *route)))


def mode(server: Server) -> Literal["Standalone", "WithQdrant", "FullStack"]:
    """How much the server runs, for its status."""
    if server.spec.ingestion is not None:
        return "FullStack"
    return "WithQdrant" if server.spec.vector_store.type == "Managed" else "Standalone"
