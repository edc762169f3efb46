"""Makes the Ingress that exposes a server outside the cluster."""

from typing import Any

from flame_operator.desired.addresses import METADATA_PATH
from flame_operator.desired.naming import HTTP_PORT_NAME, child
from flame_operator.resource.kinds import INGRESS, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import oidc


def ingress(server: Server) -> Manifest | None:
    """The Ingress, which sends one host's requests below a path to the Service; None when none is wanted.

    With OIDC, it also sends the path on which clients look for the metadata of that path.
    """
    given = server.spec.ingress
    if given is None:
        return None
    below = given.path.rstrip("/")
    metadata = (METADATA_PATH + below,) if below and oidc(server) else ()
    paths = [_path(server, path) for path in (given.path, *metadata)]
    spec: dict[str, Any] = {"rules": [{"host": given.host, "http": {"paths": paths}}]}
    if given.class_name:
        spec["ingressClassName"] = given.class_name
    if given.tls_secret_ref:
        spec["tls"] = [{"hosts": [given.host], "secretName": given.tls_secret_ref.name}]
    return {**child(INGRESS, server, given.annotations), "spec": spec}


def _path(server: Server, path: str) -> dict[str, Any]:
    backend = {"service": {"name": server.key.name, "port": {"name": HTTP_PORT_NAME}}}
    return {"path": path, "pathType": "Prefix", "backend": backend}
