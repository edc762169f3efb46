# ruff: noqa: ANN401 - JSON
"""A server, what is remembered of its runs, and what is decided then."""

from dataclasses import replace
from typing import Any

from flame_operator.desired.ingestion_job import inputs, job
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.run import Run
from flame_operator.ingestion.record import RunRecord
from flame_operator.ingestion.runs import Decision, Store, decide
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server, parse_server
from flame_operator.workloads.jobs import Ended
from tests.support.operator.fake_kube import server

DEFAULTS = Defaults(image="image:1")
BUNDLED = {"sources": [{"name": "flame", "bundled": {}}]}
MANAGED = {"type": "Managed"}
NOW = "2026-01-02T12:00:00Z"
DONE = Ended(True, message="178 pages, 890 chunks.", index={"collection": "c1", "chunks": 890})
WORLD = Ended(False, "World", "git.example.com cannot be reached.")
USER = Ended(False, "User", "There is no branch nightly.")


def one(annotations: dict[str, str] | None = None, **spec: Any) -> Server:
    body = server(**{"vectorStore": MANAGED, **spec})
    metadata = {
        **body["metadata"],
        "annotations": annotations or {},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return parse_server({**body, "metadata": metadata})


def loaded(of: Server, **fields: Any) -> RunRecord:
    """What is remembered after a first load."""
    digest = inputs(of, DEFAULTS)
    record = RunRecord(
        job="docs-ingest-1", phase="Succeeded", trigger="spec", inputs=digest, loaded=digest,
        started="2026-01-01T00:00:10Z", ended="2026-01-01T00:01:00Z", succeeded="2026-01-01T00:01:00Z",
    )  # fmt: skip
    return replace(record, **fields)


def decided(
    of: Server,
    record: RunRecord,
    *jobs: Manifest,
    ended: Ended | None = None,
    now: str = NOW,
    store: Store | None = None,
) -> Decision:
    return decide(of, record, jobs, inputs=inputs(of, DEFAULTS), store=store or Store(), ended=ended, now=now)


def live(of: Server, run: Run, *, ended: str = "", created: str = NOW) -> Manifest:
    body = job(of, DEFAULTS, run)
    body["metadata"]["creationTimestamp"] = created
    body["status"] = {"conditions": [{"type": ended, "status": "True"}]} if ended else {}
    return body
