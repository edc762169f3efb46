"""Makes the Service in front of a server's pods."""

from flame_operator.desired.naming import HTTP_PORT_NAME, child, selector_labels
from flame_operator.resource.annotations import OWNS_SECRET
from flame_operator.resource.kinds import SERVICE, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import generates_token


def service(server: Server) -> Manifest:
    """The Service, with one port for MCP over HTTP.

    It has no port for metrics: a Service of type LoadBalancer would expose them to the world, and Prometheus
    scrapes the pods directly.
    """
    spec = server.spec.service
    own = {OWNS_SECRET: "true"} if generates_token(server) else None
    return {
        **child(SERVICE, server, spec.annotations, own),
        "spec": {
            "type": spec.type,
            "selector": selector_labels(server.key.name),
            "ports": [
                {
                    "name": HTTP_PORT_NAME,
                    "port": spec.port,
                    "targetPort": HTTP_PORT_NAME,
                    "protocol": "TCP",
                    "appProtocol": spec.app_protocol,
                }
            ],
        },
    }
