"""The Service in front of the pods."""

from flame_operator.desired.naming import HTTP_PORT_NAME, child, selector_labels
from flame_operator.model import SERVICE, Manifest, Server


def service(server: Server) -> Manifest:
    """One port for MCP over HTTP."""
    spec = server.spec.service
    return {
        **child(SERVICE, server, spec.annotations),
        "spec": {
            "type": spec.type,
            "selector": selector_labels(server.key.name),
            "ports": [
                {
                    "name": HTTP_PORT_NAME,
                    "port": spec.port,
                    "targetPort": HTTP_PORT_NAME,
                    "protocol": "TCP",
                    "appProtocol": "http",
                }
            ],
        },
    }
