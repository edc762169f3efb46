"""Makes the Ingress that exposes a server outside the cluster."""

from typing import Any

from flame_operator.desired.naming import HTTP_PORT_NAME, child
from flame_operator.resource.kinds import INGRESS, Manifest
from flame_operator.resource.server import Server


def ingress(server: Server) -> Manifest | None:
    """The Ingress, which sends one host's requests below a path to the Service; None when none is wanted."""
    given = server.spec.ingress
    if given is None:
        return None
    backend = {"service": {"name": server.key.name, "port": {"name": HTTP_PORT_NAME}}}
    path = {"path": given.path, "pathType": "Prefix", "backend": backend}
    spec: dict[str, Any] = {"rules": [{"host": given.host, "http": {"paths": [path]}}]}
    if given.class_name:
        spec["ingressClassName"] = given.class_name
    if given.tls_secret_ref:
        spec["tls"] = [{"hosts": [given.host], "secretName": given.tls_secret_ref.name}]
    return {**child(INGRESS, server, given.annotations), "spec": spec}
