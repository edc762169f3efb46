"""Makes the HTTPRoute that exposes a server through a Gateway."""

from typing import Any

from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import child
from flame_operator.resource.kinds import HTTP_ROUTE, Manifest
from flame_operator.resource.server import Server


def http_route(server: Server, defaults: Defaults) -> Manifest | None:
    """The HTTPRoute, which sends all requests for the host names to the Service.

    None when the spec asks for none, or HTTPRoutes are switched off.
    """
    given = server.spec.http_route
    if given is None or not defaults.http_routes:
        return None
    spec: dict[str, Any] = {
        "parentRefs": [parent.model_dump(by_alias=True, exclude_none=True) for parent in given.parent_refs],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": server.key.name, "port": server.spec.service.port}],
            }
        ],
    }
    if given.hostnames:
        spec["hostnames"] = list(given.hostnames)
    return {**child(HTTP_ROUTE, server), "spec": spec}
