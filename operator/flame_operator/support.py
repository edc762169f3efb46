"""What a spec asks for that can't be had: of this version of the operator, or of this installation. Pure."""

from flame_operator.desired import Defaults, not_supported
from flame_operator.model import Server


def unsupported(server: Server) -> str:
    """What this version can't do yet, in words for the user; empty when it can do all."""
    fields = not_supported(server)
    if not fields:
        return ""
    return (
        f"{' and '.join(fields)}: not in this version of the operator yet. Meanwhile use vectorStore.type "
        "Embedded or External without ingestion."
    )


def disabled(server: Server, defaults: Defaults) -> tuple[str, ...]:
    """Fields that need what this cluster or this installation doesn't have, in words for the user."""
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
