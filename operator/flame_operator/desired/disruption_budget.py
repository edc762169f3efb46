"""The PodDisruptionBudget."""

from flame_operator.desired.naming import child, selector_labels
from flame_operator.resource.kinds import DISRUPTION_BUDGET, Manifest
from flame_operator.resource.server import DEFAULT_REPLICAS, Server


def disruption_budget(server: Server) -> Manifest | None:
    """How many pods a drain may take at once; None for a single pod, which none protects."""
    spec = server.spec
    given = spec.pod_disruption_budget
    if given.type == "Disabled" or _least_replicas(server) <= 1:
        return None
    amount = given.max_unavailable
    return {
        **child(DISRUPTION_BUDGET, server),
        "spec": {
            "maxUnavailable": int(amount) if amount.isdecimal() else amount,
            "selector": {"matchLabels": selector_labels(server.key.name)},
            # Pods that aren't ready serve nobody and mustn't hold up a drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _least_replicas(server: Server) -> int:
    spec = server.spec
    if spec.autoscaling:
        return spec.autoscaling.min_replicas
    return DEFAULT_REPLICAS if spec.replicas is None else spec.replicas
