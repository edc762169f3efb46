"""The ServiceMonitor, by which Prometheus Operator finds the metrics."""

from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import METRICS_PORT_NAME, child, selector_labels
from flame_operator.resource.kinds import SERVICE_MONITOR, Manifest
from flame_operator.resource.server import Server


def service_monitor(server: Server, defaults: Defaults) -> Manifest | None:
    """Scrapes the pods' metrics port, or None where it isn't asked for or switched off."""
    spec = server.spec.observability.service_monitor
    if spec.type == "Disabled" or not defaults.service_monitors:
        return None
    manifest = child(SERVICE_MONITOR, server)
    manifest["metadata"]["labels"] = spec.labels | manifest["metadata"]["labels"]
    # A target port, not the Service's: Prometheus takes all ports of the pods behind it.
    endpoint = {"targetPort": METRICS_PORT_NAME, "path": "/metrics"}
    return {
        **manifest,
        "spec": {
            "selector": {"matchLabels": selector_labels(server.key.name)},
            "endpoints": [endpoint],
        },
    }
