"""What decides about children besides the spec: defaults of the installation, facts of the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Defaults:
    """What the operator's installation decides for resources that don't say."""

    image: str
    qdrant_image: str = "qdrant"
    """The image of Qdrant servers whose spec names none."""
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
    qdrant_keys: Mapping[str, str] | None = field(default=None, repr=False)
    """The generated keys of the server's own Qdrant, as base64; None when none are wanted."""
    scaled_by_others: bool = False
    """Whether somebody else, an autoscaler perhaps, has set the Deployment's replicas."""
    asks_qdrant: bool = False
    """Whether pods of a former spec still search in a Qdrant server of the resource's own."""
