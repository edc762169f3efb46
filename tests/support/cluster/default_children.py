"""The children of a server with an empty spec on a real API server, where pods never run."""

from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults
from flame_operator.resource.kinds import KINDS
from flame_operator.resource.server import parse_server
from tests.support.cluster.cluster import Cluster, Json, server

DEFAULT_KINDS = [
    KINDS[child["kind"]]
    for child in desired_children(
        parse_server(server("docs", "any")), Defaults(image="flame-mcp-server:test")
    )
]
CHILDREN = tuple(kind.kind.lower() for kind in DEFAULT_KINDS)
NOT_READY = ("False", "PodsNotReady")


def children(cluster: Cluster, namespace: str, name: str = "docs") -> dict[str, Json | None]:
    return {kind: cluster.get(kind, name, namespace) for kind in CHILDREN}


def wait_until_at_rest(cluster: Cluster, namespace: str, name: str = "docs") -> None:
    """Wait until the controllers have made pods and the operator has said so."""
    cluster.wait_for_condition(name, namespace, "Ready", NOT_READY)
    cluster.wait_until(
        "both pods to be counted",
        lambda: cluster.found("fmcp", name, namespace)["status"]["replicas"] == 2,
    )
