"""Makes the names, labels and metadata that all children share."""

from collections.abc import Mapping
from typing import Literal

from flame_operator.resource.kinds import (
    GROUP,
    INGRESS,
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
"""The key in the generated Secret that holds the API key with write access, which only ingestion gets."""
QDRANT_READ_KEY = "read-only-api-key"

Component = Literal["server", "qdrant", "ingestion"]


def selector_labels(name: str, component: Component = "server") -> dict[str, str]:
    """The labels that select a server's pods. Selectors are immutable: nothing here may ever change."""
    return {"app.kubernetes.io/name": f"flame-mcp-{component}", INSTANCE: name}


def labels(name: str, component: Component = "server") -> dict[str, str]:
    """The labels that every child and every pod has."""
    return {
        **selector_labels(name, component),
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": "flame-mcp",
        "app.kubernetes.io/component": component,
    }


def users_own(given: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations of users without those that look like the operator's."""
    return {name: value for name, value in given.items() if not name.startswith(f"{GROUP}/")}


def metadata_of_children(server: Server) -> dict[str, dict[str, str]]:
    """The user's labels and annotations for all children."""
    given = server.spec.metadata
    return {"labels": users_own(given.labels), "annotations": users_own(given.annotations)}


def child(  # noqa: PLR0913, PLR0917 - all of these make up the metadata
    kind: Kind,
    server: Server,
    annotations: dict[str, str] | None = None,
    own: dict[str, str] | None = None,
    suffix: str = "",
    component: Component = "server",
) -> Manifest:
    """The start of a child's manifest: its kind, and its metadata with the server as the controlling owner.

    Args:
        kind: The child's kind.
        server: The server that the child belongs to.
        annotations: The user's annotations for this child. They win over those for all children.
        own: The operator's annotations.
        suffix: Follows the server's name in the child's name.
        component: The part of the server that the child belongs to.
    """
    name, namespace = server.key.name, server.key.namespace
    given = metadata_of_children(server)
    # To a controller, the annotations of an Ingress are instructions: only known ones may get there.
    shared = {} if kind is INGRESS else given["annotations"]
    manifest: Manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name + suffix,
            "namespace": namespace,
            "labels": given["labels"] | labels(name, component),
            "annotations": shared | users_own(annotations or {}) | (own or {}),
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
    """The URL of the server's managed Qdrant."""
    return f"http://{server.key.name}{QDRANT}.{server.key.namespace}.svc:{QDRANT_PORT}"


def qdrant_node_url(server: Server) -> str:
    """The URL of the first pod of the server's managed Qdrant."""
    name, namespace = server.key.name, server.key.namespace
    return f"http://{name}{QDRANT}-0.{name}{QDRANT_PEERS}.{namespace}.svc:{QDRANT_PORT}"


def url(server: Server) -> str:
    """The URL of the server for MCP clients inside the cluster."""
    port = server.spec.service.port
    return f"http://{server.key.name}.{server.key.namespace}.svc{'' if port == 80 else f':{port}'}/mcp"


def mode(server: Server) -> Literal["Standalone", "WithQdrant", "FullStack"]:
    """The mode that the server's status shows: whether it also runs Qdrant, or Qdrant and ingestion."""
    if server.spec.ingestion is not None:
        return "FullStack"
    return "WithQdrant" if server.spec.vector_store.type == "Managed" else "Standalone"
