"""Finds out from a server's pods why none of them is ready."""

from flame_operator.api.kube import KubeApi
from flame_operator.desired.naming import selector_labels
from flame_operator.resource.kinds import POD, Manifest
from flame_operator.resource.server import Server
from flame_operator.workloads.causes import why_not_ready
from flame_operator.workloads.deployments import no_pod_serves, pod_counts


class Diagnosis:
    """Reads the pods of servers, which aren't watched."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def why_no_pod_serves(self, server: Server, deployment: Manifest | None) -> str:
        """One sentence that tells why no pod serves; empty when one serves, or when the pods don't tell.

        Raises:
            Refused: The API server refuses to list the pods.
            Unavailable: The API server doesn't answer.
        """
        if not no_pod_serves(pod_counts(deployment)):
            return ""
        selector = ",".join(f"{name}={value}" for name, value in selector_labels(server.key.name).items())
        found = [pod async for pod in self._api.list(POD, selector=selector, namespace=server.key.namespace)]
        return why_not_ready(found)
