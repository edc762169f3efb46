"""Derives the target of a check from a server, and the content of its status from a verdict. Pure."""

from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import Condition, Reason
from flame_operator.resource.server import Server
from flame_operator.status.outcome import Check
from flame_operator.verification.verdict import Target, Verdict
from flame_operator.workloads.deployments import pod_counts

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def target_of(server: Server, deployment: Manifest | None, service: Manifest | None) -> Target | None:
    """The target of a server's checks, or None when there is no pod that could answer.

    The target has the cluster IP instead of a name. So the operator needs no DNS, and nobody can point it
    elsewhere by turning the Service into an alias.

    Args:
        server: The server.
        deployment: Its live Deployment.
        service: Its live Service.
    """
    pods = pod_counts(deployment)
    address = service["spec"].get("clusterIP", "") if service is not None else ""
    if deployment is None or not pods.available or address in ("", "None"):
        return None
    key, spec = server.key, server.spec
    return Target(
        url=f"http://{f'[{address}]' if ':' in address else address}:{spec.service.port}",
        host=f"{key.name}.{key.namespace}.svc",
        auth=spec.auth.type,
        query=spec.verification.query,
        min_results=spec.verification.min_results,
        interval=seconds(spec.verification.interval),
        # It changes when a rollout begins, and again when the rollout is complete.
        revision=f"{deployment['metadata'].get('generation', 0)}{'' if pods.complete else '+'}",
    )


def check_of(verdict: Verdict) -> Check:
    """The verdict in the form in which the status shows it."""
    return Check(
        Condition("True" if verdict.ok else "False", Reason(verdict.reason), verdict.message),
        server=verdict.server.as_status() if verdict.server else {},
        index=verdict.index.as_status() if verdict.index else {},
    )


def seconds(interval: str) -> float:
    """The seconds of an interval such as `10m`."""
    return float(interval[:-1]) * _SECONDS[interval[-1]]
