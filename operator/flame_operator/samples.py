"""Makes the samples by which the cache judges what objects look like, and compresses them."""

from dataclasses import replace

from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import inputs, job
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.naming import QDRANT_READ_KEY, QDRANT_WRITE_KEY
from flame_operator.desired.run import Run
from flame_operator.resource.kinds import SERVER, Manifest
from flame_operator.resource.server import parse_server
from flame_operator.status.conditions import server_status
from flame_operator.status.outcome import Outcome


def samples(defaults: Defaults) -> list[Manifest]:
    """A plain server and its children, with which the cache judges what objects of their kinds look like."""
    found: list[Manifest] = []
    facts = Facts(qdrant_keys={QDRANT_WRITE_KEY: "", QDRANT_READ_KEY: ""})
    exposed = {
        "autoscaling": {},
        "ingress": {"host": "flame.example.com"},
        "httpRoute": {"parentRefs": [{"name": "public"}], "hostnames": ["flame.example.com"]},
        "observability": {"serviceMonitor": {"type": "Enabled"}},
    }
    defaults = replace(defaults, http_routes=True, service_monitors=True)
    for spec in ({}, {"vectorStore": {"type": "Managed"}, **exposed}):
        metadata = {"name": "docs", "namespace": "default", "uid": "0", "generation": 1}
        body = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "metadata": metadata, "spec": spec}
        server = parse_server(body)
        found.append({**body, "status": server_status(server, None, Outcome(), {}, "2026-01-01T00:00:00Z")})
        found += desired_children(server, defaults, facts)
        found.append(job(server, defaults, Run("ingest", "spec", inputs(server, defaults))))
    return found
