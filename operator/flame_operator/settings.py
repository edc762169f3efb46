"""The operator's settings, from environment variables `FLAME_OPERATOR_*`."""

import platform
import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_SERVER_IMAGE = "flame-mcp-server:0.1.0"
DEFAULT_QDRANT_IMAGE = "qdrant/qdrant:v1.19.1-unprivileged"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]


def _words(value: object) -> object:
    """The words of a text with commas between them."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _own_namespace() -> str:
    return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default"


def _own_identity() -> str:
    return f"{platform.node() or 'operator'}-{secrets.token_hex(4)}"


class Settings(BaseSettings):
    """Every variable has a default; the chart sets the image."""

    model_config = SettingsConfigDict(env_prefix="FLAME_OPERATOR_", frozen=True)

    server_image: Annotated[str, Field(min_length=1)] = DEFAULT_SERVER_IMAGE
    """The image of servers whose spec names none."""
    qdrant_image: Annotated[str, Field(min_length=1)] = DEFAULT_QDRANT_IMAGE
    """The image of Qdrant servers whose spec names none."""
    image_pull_secrets: Annotated[
        tuple[ObjectName, ...], NoDecode, BeforeValidator(_words), Field(max_length=8)
    ] = ()
    """Secrets of each server's namespace that pods pull with whose spec names none; commas between them."""
    ingestion_parallelism: Annotated[int, Field(ge=1, le=1000)] = 10
    """How many resources load docs at once; the others wait for their turn."""
    resync_seconds: Annotated[float, Field(ge=1, le=86400)] = 600
    """How often everything is listed to find what a broken watch missed; up to 10 % sooner or later."""
    settle_seconds: Annotated[float, Field(ge=1, le=86400)] = 15
    """How soon after the start all is listed again: no watch tells of what went before it was open."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many resources are worked on at once."""
    api_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """How many API requests are in flight at once."""
    drain_seconds: Annotated[float, Field(ge=0, le=3600)] = 20
    """How long work that has begun may take after SIGTERM."""
    watch_grace_seconds: Annotated[float, Field(ge=1, le=86400)] = 90
    """How long the watch may deliver nothing while lists find something new, before the process ends. kopf
    notices a dead connection by itself, in 70 s at the latest."""
    namespace: ObjectName = Field(default_factory=_own_namespace)
    """Where the operator itself is: its Lease and its key. In a pod its own namespace, else `default`."""
    pod_name: Annotated[str, Field(pattern=r"^[-A-Za-z0-9._]{1,253}$")] = Field(default_factory=_own_identity)
    """Who this process is among its replicas; two that run at once must differ. The host's name and a random
    suffix when it isn't set."""
    leader_election: bool = True
    """Whether to work only while holding the Lease. Without it a second operator would write as well."""
    lease_name: ObjectName = "flame-mcp-operator"
    """The Lease; operators with the same one take turns."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """Where to answer GET /metrics; 0 switches it off."""
    verifications_per_second: Annotated[float, Field(gt=0, le=1000)] = 10
    """How many running servers are looked at in a second, over all resources."""
    reference_poll_seconds: Annotated[float, Field(ge=1, le=86400)] = 60
    """How often Secrets and ConfigMaps that resources refer to are read again."""
    rollout_parallelism: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many resources roll at once after a change of something that they share."""
    http_routes: bool = False
    """Whether to make HTTPRoutes; needs the Gateway API in the cluster and rights to write them."""
    service_monitors: bool = False
    """Whether to make ServiceMonitors; needs their API in the cluster and rights to write them."""
    events_per_second: Annotated[float, Field(gt=0, le=1000)] = 5
    """How many Events are written in a second, over all resources."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
