"""Makes the ServiceMonitor, from which Prometheus Operator learns where to scrape metrics."""

from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import (
    METRICS_PORT_NAME,
    child,
    labels,
    metadata_of_children,
    selector_labels,
)
from flame_operator.resource.kinds import SERVICE_MONITOR, Manifest
from flame_operator.resource.server import Server


def service_monitor(server: Server, defaults: Defaults) -> Manifest | None:
    """The ServiceMonitor for the pods' metrics port, or None when none is wanted or they are switched off."""
    spec = server.spec.observability.service_monitor
    if spec.type == "Disabled" or not defaults.service_monitors:
        return None
    manifest = child(SERVICE_MONITOR, server)
    shared = metadata_of_children(server)["labels"]
    manifest["metadata"]["labels"] = shared | spec.labels | labels(server.key.name)
    # A port of the pods, not of the Service: Prometheus considers all ports of the pods behind it.
    endpoint = {"targetPort": METRICS_PORT_NAME, "path": "/metrics"}
    return {
        **manifest,
        "spec": {
            "selector": {"matchLabels": selector_labels(server.key.name)},
            "endpoints": [endpoint],
        },
    }
