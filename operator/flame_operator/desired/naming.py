"""Names, labels and the metadata that all children share."""

from dataclasses import dataclass

from flame_operator.model import GROUP, MANAGER, SERVER, Kind, Manifest, Server

APPLIED_HASH = f"{GROUP}/applied-hash"
CONFIG_HASH = f"{GROUP}/config-hash"

HTTP_PORT_NAME = "http"
HTTP_PORT = 8000
DEFAULT_REPLICAS = 2


@dataclass(frozen=True)
class Defaults:
    """What the operator's installation decides for resources that don't say."""

    image: str


def selector_labels(name: str) -> dict[str, str]:
    """What finds a server's pods. Selectors are immutable, so nothing that may ever change belongs here."""
    return {"app.kubernetes.io/name": "flame-mcp-server", "app.kubernetes.io/instance": name}


def labels(name: str) -> dict[str, str]:
    """The labels of every child and pod."""
    return {
        **selector_labels(name),
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": "flame-mcp",
        "app.kubernetes.io/component": "server",
    }


def child(kind: Kind, server: Server, annotations: dict[str, str] | None = None) -> Manifest:
    """A child's head: its kind, and metadata with labels and the server as controlling owner."""
    manifest: Manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": server.key.name,
            "namespace": server.key.namespace,
            "labels": labels(server.key.name),
            "annotations": dict(annotations or {}),
            "ownerReferences": [
                {
                    "apiVersion": SERVER.api_version,
                    "kind": SERVER.kind,
                    "name": server.key.name,
                    "uid": server.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }
    return manifest


def url(server: Server) -> str:
    """Where MCP clients inside the cluster reach the server."""
    port = server.spec.service.port
    return f"http://{server.key.name}.{server.key.namespace}.svc{'' if port == 80 else f':{port}'}/mcp"
