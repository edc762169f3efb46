"""Makes the PodDisruptionBudget of a server's pods."""

from flame_operator.desired.naming import child, selector_labels
from flame_operator.desired.resources import count_or_percent
from flame_operator.resource.kinds import DISRUPTION_BUDGET, Manifest
from flame_operator.resource.server import DEFAULT_REPLICAS, Server


def disruption_budget(server: Server) -> Manifest | None:
    """The PodDisruptionBudget; None when it is disabled, or there is a single pod, which it can't protect."""
    spec = server.spec
    given = spec.pod_disruption_budget
    if given.type == "Disabled" or _least_replicas(server) <= 1:
        return None
    return {
        **child(DISRUPTION_BUDGET, server),
        "spec": {
            "maxUnavailable": count_or_percent(given.max_unavailable),
            "selector": {"matchLabels": selector_labels(server.key.name)},
            # Pods that aren't ready serve nobody, so they mustn't hold up a drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _least_replicas(server: Server) -> int:
    spec = server.spec
    if spec.autoscaling:
        return spec.autoscaling.min_replicas
    return DEFAULT_REPLICAS if spec.replicas is None else spec.replicas
