"""Makes the HorizontalPodAutoscaler of a server."""

from typing import Any

from flame_operator.desired.naming import child
from flame_operator.resource.kinds import AUTOSCALER, DEPLOYMENT, Manifest
from flame_operator.resource.server import Server

DEFAULT_TARGET_CPU = 75
"""The target in percent of the requested CPU, when the user names no target at all."""


def autoscaler(server: Server) -> Manifest | None:
    """The HorizontalPodAutoscaler, or None when the spec asks for none.

    While there is one, the operator sends no `replicas` to the Deployment.
    """
    given = server.spec.autoscaling
    if given is None:
        return None
    targets = {"cpu": given.target_cpu, "memory": given.target_memory}
    if not any(targets.values()):
        targets["cpu"] = DEFAULT_TARGET_CPU
    spec: dict[str, Any] = {
        "scaleTargetRef": {
            "apiVersion": DEPLOYMENT.api_version,
            "kind": DEPLOYMENT.kind,
            "name": server.key.name,
        },
        "minReplicas": given.min_replicas,
        "maxReplicas": given.max_replicas,
        "metrics": [_utilization(resource, target) for resource, target in targets.items() if target],
    }
    if given.behavior:
        spec["behavior"] = given.behavior.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**child(AUTOSCALER, server), "spec": spec}


def _utilization(resource: str, target: int) -> dict[str, Any]:
    wanted = {"type": "Utilization", "averageUtilization": target}
    return {"type": "Resource", "resource": {"name": resource, "target": wanted}}
