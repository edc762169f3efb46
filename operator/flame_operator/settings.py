"""Reads the operator's settings from environment variables `FLAME_OPERATOR_*`."""

import platform
import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_SERVER_IMAGE = "flame-mcp-server:0.1.0"
DEFAULT_QDRANT_IMAGE = "qdrant/qdrant:v1.19.1-unprivileged"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

ProxyUrl = Annotated[str, Field(max_length=512, pattern=r"^https?://[-A-Za-z0-9._:\[\]]+/?$")]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]


def _words(value: object) -> object:
    """The words of a comma-separated text."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _numbers(value: object) -> object:
    """The numbers of a comma-separated text."""
    words = _words(value)
    return [int(word) if word.isdecimal() else word for word in words] if isinstance(words, list) else value


def _own_namespace() -> str:
    return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default"


def _own_identity() -> str:
    return f"{platform.node() or 'operator'}-{secrets.token_hex(4)}"


class Settings(BaseSettings):
    """The operator's settings. Every variable has a default; the chart sets the image."""

    model_config = SettingsConfigDict(env_prefix="FLAME_OPERATOR_", frozen=True)

    server_image: Annotated[str, Field(min_length=1)] = DEFAULT_SERVER_IMAGE
    """The image for servers whose spec names none."""
    qdrant_image: Annotated[str, Field(min_length=1)] = DEFAULT_QDRANT_IMAGE
    """The image of a managed Qdrant when the spec names none."""
    image_pull_secrets: Annotated[
        tuple[ObjectName, ...], NoDecode, BeforeValidator(_words), Field(max_length=8)
    ] = ()
    """The image pull secrets of servers whose spec names none, separated by commas.

    They are looked up in each server's namespace.
    """
    dns_ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...],
        NoDecode,
        BeforeValidator(_numbers),
        Field(min_length=1, max_length=8),
    ] = (53, 5353)
    """The ports at which the cluster's DNS may listen, separated by commas; all policies let them out."""
    http_proxy: ProxyUrl | None = None
    """The proxy of servers for http:// addresses; a spec that has `egress.proxy` doesn't use any of these."""
    https_proxy: ProxyUrl | None = None
    """The proxy of servers for https:// addresses."""
    no_proxy: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[-A-Za-z0-9._:]{1,128}$")], ...],
        NoDecode,
        BeforeValidator(_words),
        Field(max_length=32),
    ] = ()
    """Hosts that servers reach without the proxy, separated by commas, besides those inside the cluster."""
    ca_bundle_config_map: ObjectName | None = None
    """The ConfigMap in each server's namespace with certificates (PEM) that its pods trust as well."""
    ca_bundle_key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]{1,253}$")] = "ca.crt"
    """The key in that ConfigMap."""
    child_labels: Annotated[dict[str, str], Field(max_length=16)] = Field(default_factory=dict)
    """Labels of all children, as JSON; a spec's `metadata.labels` win."""
    child_annotations: Annotated[dict[str, str], Field(max_length=16)] = Field(default_factory=dict)
    """Annotations of all children, as JSON; a spec's `metadata.annotations` win."""
    pod_labels: Annotated[dict[str, str], Field(max_length=16)] = Field(default_factory=dict)
    """Labels of all servers' pods, as JSON; a spec's `podTemplate.labels` win."""
    pod_annotations: Annotated[dict[str, str], Field(max_length=16)] = Field(default_factory=dict)
    """Annotations of all servers' pods, as JSON; a spec's `podTemplate.annotations` win."""
    fixed_users: bool = True
    """Whether pods name the users of their images; OpenShift assigns them, and refuses pods that name one."""
    ingestion_parallelism: Annotated[int, Field(ge=1, le=1000)] = 10
    """How many servers load docs at once; the others wait for their turn."""
    resync_seconds: Annotated[float, Field(ge=1, le=86400)] = 600
    """How often everything is listed to find what a broken watch missed, give or take 10 %."""
    settle_seconds: Annotated[float, Field(ge=1, le=86400)] = 15
    """How soon after the start to list everything again: no watch reports deletions from before it opened."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many servers are reconciled at once."""
    api_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """How many API requests are in flight at once."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 20
    """How long waiting work may take to finish after SIGTERM."""
    watch_grace_seconds: Annotated[float, Field(ge=1, le=86400)] = 90
    """How long the watch may deliver nothing while lists find changes, before the process ends.

    kopf itself notices a dead connection after 70 s at the latest.
    """
    namespace: ObjectName = Field(default_factory=_own_namespace)
    """The operator's own namespace, which holds its Lease and its key.

    By default, in a pod, the pod's namespace; elsewhere, `default`.
    """
    pod_name: Annotated[str, Field(pattern=r"^[-A-Za-z0-9._]{1,253}$")] = Field(default_factory=_own_identity)
    """The name of this process among its replicas; it must be unique among those that run at the same time.

    By default, the host's name and a random suffix.
    """
    operator_class: Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")] = ""
    """Which resources to handle: those with this `spec.operatorClass`; empty for those without one."""
    namespace_selector: Annotated[str, Field(max_length=20_000, pattern=r"^[-A-Za-z0-9._/=!,() ]*$")] = ""
    """The label selector of the namespaces to handle, as in `kubectl get -l`; empty means all."""
    exclude_namespaces: Annotated[
        tuple[ObjectName, ...], NoDecode, BeforeValidator(_words), Field(max_length=1000)
    ] = ()
    """The namespaces to leave alone, separated by commas."""
    identity: Annotated[str, Field(pattern=r"^([-a-z0-9./]{1,256})?$")] = ""
    """By which name this installation claims resources; by default, the Lease's namespace and name."""
    leader_election: bool = True
    """Whether to work only while holding the Lease. Without it, a second operator would write as well."""
    lease_name: ObjectName = "flame-mcp-operator"
    """The name of the Lease; of all operators with the same Lease, one leads."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """The port for GET /metrics; 0 disables it."""
    verifications_per_second: Annotated[float, Field(gt=0, le=1000)] = 10
    """How many checks of running servers start in a second, over all servers."""
    reference_poll_seconds: Annotated[float, Field(ge=1, le=86400)] = 60
    """How often Secrets and ConfigMaps that specs name are polled."""
    rollout_parallelism: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many servers of a namespace roll at once after a Secret or ConfigMap they share has changed."""
    cluster_domain: Annotated[
        str,
        Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
    ] = "cluster.local"
    """The domain of the cluster's DNS names, as in `docs.default.svc.cluster.local`."""
    http_issuers: bool = False
    """Whether OIDC issuers that are Services of the cluster may be asked over plain HTTP."""
    http_routes: bool = False
    """Whether to make HTTPRoutes; needs the Gateway API in the cluster, and permission to write them."""
    service_monitors: bool = False
    """Whether to make ServiceMonitors; needs their API in the cluster, and permission to write them."""
    events_per_second: Annotated[float, Field(gt=0, le=1000)] = 5
    """How many Events are written in a second, over all servers."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
