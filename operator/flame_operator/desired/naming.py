"""Names, labels and the metadata that all children share."""

from dataclasses import dataclass, field
from typing import Literal

from flame_operator.model import GROUP, MANAGER, SERVER, Kind, Manifest, Server

APPLIED_HASH = f"{GROUP}/applied-hash"
CONFIG_HASH = f"{GROUP}/config-hash"
REFERENCES_DIGEST = f"{GROUP}/references-digest"
OWNS_SECRET = f"{GROUP}/owns-secret"
"""On the Service of a server with a generated token: tells that there is a Secret, as none are listed."""

HTTP_PORT_NAME = "http"
HTTP_PORT = 8000
METRICS_PORT_NAME = "metrics"
METRICS_PORT = 9090
TOKEN_KEY = "token"  # noqa: S105 - where the generated Secret holds the token
DEFAULT_REPLICAS = 2


@dataclass(frozen=True)
class Defaults:
    """What the operator's installation decides for resources that don't say."""

    image: str
    operator_namespace: str = ""
    """Where the operator's own pods are, which verify every server; empty outside a cluster."""
    image_pull_secrets: tuple[str, ...] = ()
    """Secrets of each server's namespace that the pods of servers that name none pull with."""
    http_routes: bool = False
    """Whether HTTPRoutes are made: their API may be missing, and the role `edit` may not cover them."""
    service_monitors: bool = False
    """Whether ServiceMonitors are made, likewise."""


@dataclass(frozen=True)
class Facts:
    """What is known of the cluster and decides about children besides the resource."""

    references: str = ""
    """Digest of the Secrets and ConfigMaps that pods read; empty for none. A change rolls the pods."""
    token: str | None = field(default=None, repr=False)
    """The generated bearer token, as base64; None when none is wanted."""
    scaled_by_others: bool = False
    """Whether somebody else, an autoscaler perhaps, has set the Deployment's replicas."""


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


def child(
    kind: Kind, server: Server, annotations: dict[str, str] | None = None, own: dict[str, str] | None = None
) -> Manifest:
    """A child's head: its kind, and metadata with labels and the server as controlling owner.

    Args:
        kind: What it is.
        server: Whose it is.
        annotations: The user's, of which none may pass for one of the operator's.
        own: The operator's.
    """
    name, namespace = server.key.name, server.key.namespace
    users = {key: value for key, value in (annotations or {}).items() if not key.startswith(f"{GROUP}/")}
    manifest: Manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels(name),
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
