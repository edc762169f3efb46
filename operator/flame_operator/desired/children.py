"""Makes the desired manifests of all of a server's children. Pure: equal arguments give equal manifests."""

from flame_operator.desired.account import service_account
from flame_operator.desired.autoscaler import autoscaler
from flame_operator.desired.config import config_map
from flame_operator.desired.deployment import deployment
from flame_operator.desired.disruption_budget import disruption_budget
from flame_operator.desired.hashing import with_applied_hash
from flame_operator.desired.http_route import http_route
from flame_operator.desired.ingestion_policy import ingestion_policy
from flame_operator.desired.ingress import ingress
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.network_policy import network_policy
from flame_operator.desired.qdrant import qdrant
from flame_operator.desired.secret import secret
from flame_operator.desired.service import service
from flame_operator.desired.service_monitor import service_monitor
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server

NOTHING_KNOWN = Facts()


def desired_children(
    server: Server, defaults: Defaults, facts: Facts = NOTHING_KNOWN
) -> tuple[Manifest, ...]:
    """The manifests of all children of `server`, in the order in which they are applied.

    What pods need comes before the pods. Jobs aren't included: whether there is one depends on what has run
    before; see `ingestion.runs`.

    Args:
        server: The server.
        defaults: The installation's defaults.
        facts: What is known about the cluster.

    Raises:
        ValueError: The server needs a generated token or keys and `facts` has none.
    """
    config = config_map(server)
    children = (
        service_account(server),
        config,
        secret(server, facts),
        network_policy(server, defaults, facts),
        *qdrant(server, defaults, facts),
        ingestion_policy(server, defaults),
        deployment(server, defaults, facts, config),
        service(server),
        disruption_budget(server),
        autoscaler(server),
        ingress(server),
        http_route(server, defaults),
        service_monitor(server, defaults),
    )
    return tuple(with_applied_hash(child) for child in children if child is not None)
