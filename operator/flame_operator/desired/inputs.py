"""Holds what decides about children besides the spec: the installation's defaults and the cluster's facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flame_operator.resource.spec.workload import Egress, Metadata


@dataclass(frozen=True)
class Defaults:
    """The installation's defaults, which hold where a spec leaves something out."""

    image: str
    qdrant_image: str = "qdrant"
    """The image of a managed Qdrant when the spec names none."""
    operator_namespace: str = ""
    """The namespace of the operator's own pods, which verify every server; empty outside a cluster."""
    cluster_domain: str = "cluster.local"
    """The domain of the cluster's own DNS names."""
    image_pull_secrets: tuple[str, ...] = ()
    """The image pull secrets of pods when the spec names none; looked up in each server's namespace."""
    dns_ports: tuple[int, ...] = (53, 5353)
    """The ports at which the cluster's DNS may listen: policies see a pod's own port, 5353 on OpenShift."""
    egress: Egress = field(default_factory=Egress)
    """The proxy and the certificates of servers whose spec names none."""
    metadata: Metadata = field(default_factory=Metadata)
    """Labels and annotations of all children; those of a spec win."""
    pod_template: Metadata = field(default_factory=Metadata)
    """Labels and annotations of all servers' pods; those of a spec win."""
    fixed_users: bool = True
    """Whether pods name the users of their images. OpenShift assigns them, and refuses pods that name one."""
    http_issuers: bool = False
    """Whether OIDC issuers that are Services of the cluster may be asked over plain HTTP."""
    http_routes: bool = False
    """Whether to make HTTPRoutes: their API may be missing, and the role `edit` may not cover them."""
    service_monitors: bool = False
    """Whether to make ServiceMonitors: their API may be missing, and the role `edit` may not cover them."""


@dataclass(frozen=True)
class Facts:
    """Facts about the cluster that decide about a server's children, besides its spec."""

    references: str = ""
    """The digest of the Secrets and ConfigMaps that pods read; empty for none. A change rolls the pods."""
    token_gone: bool = False
    """Whether the Secret with the token of callers is gone, and pods still accept that token."""
    token: str | None = field(default=None, repr=False)
    """The generated bearer token, as base64; None when none is needed."""
    qdrant_keys: Mapping[str, str] | None = field(default=None, repr=False)
    """The generated keys of the managed Qdrant, as base64; None when none are needed."""
    qdrant_keys_digest: str = ""
    """The digest of these keys for the pods' annotation; empty outside a cluster, where no key is real."""
    qdrant_replicas: int | None = None
    """How many pods the managed Qdrant should have for now; None for as many as the spec wants."""
    claim_metadata: Mapping[str, Any] | None = None
    """The labels and annotations of the claims of the managed Qdrant, which is there and can't change them.

    None when it isn't there yet.
    """
    scaled_by_others: bool = False
    """Whether somebody else, perhaps an autoscaler, has set the Deployment's replicas."""
    asks_qdrant: bool = False
    """Whether pods of an earlier spec still search in a managed Qdrant that the spec no longer has."""
