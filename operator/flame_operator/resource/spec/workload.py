"""Models how pods run, how many, and where: environment, scheduling, autoscaling, disruption."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flame_operator.resource.spec.access import LabelSelector
from flame_operator.resource.spec.common import (
    Annotations,
    CountOrPercent,
    HttpUrl,
    KeyRef,
    LabelName,
    Labels,
    LabelValue,
    NamespaceName,
    ObjectName,
    Spec,
    Switch,
)


def _not_ours(name: str) -> str:
    # In any case: the server's settings don't tell cases apart.
    if name.upper().startswith(("FLAME_MCP_", "FASTMCP_")):
        raise ValueError("variables that start with FLAME_MCP_ or FASTMCP_ are set by the operator")
    return name


class EnvVar(Spec):
    """An environment variable with a literal value."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
        AfterValidator(_not_ours),
    ]
    value: Annotated[str, Field(max_length=1024)] = ""


NoProxy = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[-A-Za-z0-9._:]+$")]
ProxyUrl = Annotated[HttpUrl, Field(max_length=512)]


class Proxy(Spec):
    """The proxy for requests out of the cluster; without an address, there is none."""

    http: ProxyUrl | None = None
    https: ProxyUrl | None = None
    no_proxy: Annotated[tuple[NoProxy, ...], Field(max_length=32)] = ()


class Egress(Spec):
    """How pods reach what is outside."""

    proxy: Proxy | None = None
    ca_bundle_config_map_ref: KeyRef | None = None


class RollingUpdate(Spec):
    """How many pods may be more, and how many missing, while pods are replaced."""

    max_surge: CountOrPercent = "1"
    max_unavailable: CountOrPercent = "0"


class DeploymentStrategy(Spec):
    """How pods are replaced by new ones."""

    type: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    rolling_update: RollingUpdate | None = None


class Metadata(Spec):
    """Labels and annotations of objects, besides the operator's own."""

    labels: Labels = Field(default_factory=dict)
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=512, pattern=r"^[ -~]*$")]], Field(max_length=16)
    ] = Field(default_factory=dict)


class ServiceAccountSpec(Spec):
    """The pods' ServiceAccount."""

    annotations: Annotations = Field(default_factory=dict)


class Toleration(Spec):
    """A toleration, as in a pod's spec."""

    key: LabelName | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(ge=0, le=31536000)] | None = None


class TopologySpreadConstraint(Spec):
    """A topology spread constraint, as in a pod's spec.

    The operator sets the label selector: it selects the server's own pods.
    """

    max_skew: Annotated[int, Field(ge=1, le=100)] = 1
    topology_key: LabelName
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    min_domains: Annotated[int, Field(ge=1, le=100)] | None = None


class NodeExpression(Spec):
    """A requirement on a node's label or field."""

    key: LabelName
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: Annotated[tuple[LabelValue, ...], Field(max_length=16)] = ()


class NodeTerm(Spec):
    """Requirements on a node that must all hold."""

    match_expressions: Annotated[tuple[NodeExpression, ...], Field(max_length=4)] = ()
    match_fields: Annotated[tuple[NodeExpression, ...], Field(max_length=1)] = ()


class NodeTerms(Spec):
    """Alternative terms, of which a node must match at least one."""

    node_selector_terms: Annotated[tuple[NodeTerm, ...], Field(min_length=1, max_length=4)]


Weight = Annotated[int, Field(ge=1, le=100)]


class PreferredNodeTerm(Spec):
    """A preference for nodes, and its weight."""

    weight: Weight
    preference: NodeTerm


class NodeAffinity(Spec):
    """Node affinity, as in a pod's spec."""

    required: NodeTerms | None = Field(default=None, alias="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: Annotated[tuple[PreferredNodeTerm, ...], Field(max_length=4)] = Field(
        default=(), alias="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodTerm(Spec):
    """Pods to be placed near to or away from, and in which topology."""

    label_selector: LabelSelector | None = None
    namespaces: Annotated[tuple[NamespaceName, ...], Field(max_length=8)] = ()
    namespace_selector: LabelSelector | None = None
    topology_key: LabelName


class PreferredPodTerm(Spec):
    """A preference about other pods, and its weight."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(Spec):
    """Pod affinity or anti-affinity, as in a pod's spec."""

    required: Annotated[tuple[PodTerm, ...], Field(max_length=2)] = Field(
        default=(), alias="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: Annotated[tuple[PreferredPodTerm, ...], Field(max_length=4)] = Field(
        default=(), alias="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Spec):
    """Affinity to nodes and pods, as in a pod's spec."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Scheduling(Spec):
    """Which nodes the pods may run on, and which they prefer."""

    node_selector: Annotated[dict[str, LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    topology_spread_constraints: Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=8)] = ()
    priority_class_name: ObjectName | None = None
    affinity: Affinity | None = None


class ScalingPolicy(Spec):
    """How many pods may be added or removed in a period."""

    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(ge=1, le=1000)]
    period_seconds: Annotated[int, Field(ge=1, le=1800)]


class ScalingRules(Spec):
    """How fast to scale in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=4)] = ()


class ScalingBehavior(Spec):
    """How fast to scale up and down."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


Percentage = Annotated[int, Field(ge=1, le=1000)]


class Autoscaling(Spec):
    """Bounds and targets for the HorizontalPodAutoscaler."""

    min_replicas: Annotated[int, Field(ge=1, le=50)] = 2
    max_replicas: Annotated[int, Field(ge=1, le=50)] = 10
    target_cpu: Percentage | None = Field(default=None, alias="targetCPUUtilizationPercentage")
    target_memory: Percentage | None = Field(default=None, alias="targetMemoryUtilizationPercentage")
    behavior: ScalingBehavior | None = None


class PodDisruptionBudgetSpec(Spec):
    """The PodDisruptionBudget: how many pods may be evicted at once."""

    type: Switch = "Enabled"
    max_unavailable: CountOrPercent = "1"
