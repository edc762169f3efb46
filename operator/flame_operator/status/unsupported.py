"""Finds fields of a spec that this cluster or this installation of the operator doesn't support. Pure."""

from flame_operator.desired.inputs import Defaults
from flame_operator.resource.server import Server


def unsupported(server: Server, defaults: Defaults) -> tuple[str, ...]:
    """Messages for the user about fields that need something that the cluster or the installation lacks."""
    found = []
    if server.spec.http_route is not None and not defaults.http_routes:
        found.append(
            "spec.httpRoute: this cluster has no Gateway API, or httpRoutes.enabled isn't set in "
            "the operator's chart; the server runs without a route"
        )
    if server.spec.observability.service_monitor.type == "Enabled" and not defaults.service_monitors:
        found.append(
            "spec.observability.serviceMonitor: this cluster has no Prometheus Operator, or "
            "serviceMonitors.enabled isn't set in the operator's chart; nothing scrapes the server"
        )
    return tuple(found)
