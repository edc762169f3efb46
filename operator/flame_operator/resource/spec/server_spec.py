"""Models the spec as a whole, and those of its parts that have no module of their own."""

from typing import Annotated, Literal

from pydantic import Field

from flame_operator.resource.spec.access import (
    Auth,
    Cidr,
    Cors,
    HttpRoute,
    Ingress,
    NetworkPolicySpec,
    ServiceSpec,
)
from flame_operator.resource.spec.backends import Embedding, Ingestion, VectorStore
from flame_operator.resource.spec.common import (
    DnsLabel,
    HttpUrl,
    Image,
    Labels,
    NameRef,
    Resources,
    Spec,
    Switch,
)
from flame_operator.resource.spec.workload import (
    Autoscaling,
    DeploymentStrategy,
    Egress,
    EnvVar,
    Metadata,
    PodDisruptionBudgetSpec,
    Scheduling,
    ServiceAccountSpec,
)


class RateLimit(Spec):
    """How many requests one client may send to one pod."""

    requests_per_minute: Annotated[int, Field(ge=1, le=60000)] = 120
    burst: Annotated[int, Field(ge=1, le=10000)] = 40


class Search(Spec):
    """How long an answer may be, and how many requests are answered."""

    default_limit: Annotated[int, Field(ge=1, le=20)] = 5
    max_tokens: Annotated[int, Field(ge=500, le=10000)] = 4000
    rate_limit: RateLimit | None = None


class ServiceMonitor(Spec):
    """Whether the operator makes a ServiceMonitor for Prometheus Operator, and with which labels."""

    type: Switch = "Disabled"
    labels: Labels = Field(default_factory=dict)


class Tracing(Spec):
    """Where the server sends its traces."""

    endpoint: HttpUrl


class Observability(Spec):
    """The server's logs, metrics and traces."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    service_monitor: ServiceMonitor = ServiceMonitor()
    tracing: Tracing | None = None


class Verification(Spec):
    """How the operator verifies that a server answers."""

    interval: Annotated[str, Field(min_length=2, max_length=8, pattern=r"^[1-9][0-9]{0,4}(s|m|h)$")] = "10m"
    query: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")] = (
        "How do I add a component to a game?"
    )
    min_results: Annotated[int, Field(ge=1, le=20)] = 1


class ServerSpec(Spec):
    """The whole spec of a FlameMCPServer."""

    operator_class: DnsLabel | None = None
    image: Image | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: Annotated[tuple[NameRef, ...], Field(max_length=8)] = ()
    replicas: Annotated[int, Field(ge=0, le=50)] | None = None
    resources: Resources = Resources()
    vector_store: VectorStore = VectorStore()
    embedding: Embedding = Embedding()
    ingestion: Ingestion | None = None
    search: Search = Search()
    auth: Auth = Auth()
    service: ServiceSpec = ServiceSpec()
    ingress: Ingress | None = None
    http_route: HttpRoute | None = None
    trusted_proxies: Annotated[tuple[Cidr, ...], Field(max_length=16)] = ()
    cors: Cors = Cors()
    autoscaling: Autoscaling | None = None
    network_policy: NetworkPolicySpec = NetworkPolicySpec()
    pod_disruption_budget: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    deployment_strategy: DeploymentStrategy = DeploymentStrategy()
    service_account: ServiceAccountSpec = ServiceAccountSpec()
    scheduling: Scheduling = Scheduling()
    metadata: Metadata = Metadata()
    pod_template: Metadata = Metadata()
    env: Annotated[tuple[EnvVar, ...], Field(max_length=32)] = ()
    egress: Egress = Egress()
    observability: Observability = Observability()
    verification: Verification = Verification()
    suspend: bool = False
