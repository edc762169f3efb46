"""The plain chart makes the same objects as the operator, for the same settings.

The difference that is allowed is what tells whose an object is: owner references, the labels of the manager
and of the chart, and the operator's own notes on objects. A generated token and generated keys are values
here, so the Secrets are compared as well.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings

from flame_operator.commands.render import WITHOUT_CLUSTER
from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import job
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.run import Run
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server, parse_server
from flame_operator.resource.unions import loads_docs, managed_qdrant, oidc
from tests.support.charts.chart_specs import chart_specs
from tests.support.charts.helm_cli import SERVER_CHART, render
from tests.support.charts.object_comparison import comparable, differences
from tests.support.operator import specs
from tests.support.operator.fake_kube import server as resource

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

IMAGE = "flame-mcp/server:0.1.0"
DEFAULTS = Defaults(
    image=IMAGE,
    qdrant_image="qdrant/qdrant:v1.19.1-unprivileged",
    http_routes=True,
    service_monitors=True,
)
GENERATED = "generated-by-the-operator"


def _mode(spec: dict[str, Any]) -> str:
    if "ingestion" in spec:
        return "fullStack"
    return "withQdrant" if spec.get("vectorStore", {}).get("type") == "Managed" else "standalone"


def values_of(server: Server, spec: dict[str, Any]) -> dict[str, Any]:
    """The chart's values for a resource."""
    values = {"fullnameOverride": server.key.name, "mode": _mode(spec), **spec}
    if (issuer := oidc(server)) and issuer.issuer.startswith("http:"):
        values["httpIssuers"] = {"enabled": True}
    secrets: dict[str, Any] = {}
    if server.spec.auth.type == "Bearer" and not (
        server.spec.auth.bearer and server.spec.auth.bearer.token_secret_ref
    ):
        secrets["token"] = {"value": GENERATED}
    if managed_qdrant(server):
        secrets["qdrant"] = {"apiKey": GENERATED, "readOnlyApiKey": GENERATED}
    return values | ({"secrets": secrets} if secrets else {})


def of_operator(server: Server) -> list[Manifest]:
    """All that the operator makes of a resource; runs on a schedule are the CronJobs that a chart has."""
    # Volume claims as they are where a StatefulSet exists: a chart can't know, and mustn't change them.
    facts = replace(WITHOUT_CLUSTER, claim_metadata={})
    found = list(desired_children(server, DEFAULTS, facts))
    ingestion, managed = server.spec.ingestion, managed_qdrant(server)
    load = job(server, DEFAULTS, Run("ingest", "", ""))
    if loads_docs(server) and not (ingestion and ingestion.suspend):
        found.append(load)
    if ingestion and ingestion.schedule:
        found.append(
            _on_schedule(
                load,
                f"{server.key.name}-ingest",
                schedule=ingestion.schedule,
                timeZone=ingestion.time_zone or "Etc/UTC",
                suspend=ingestion.suspend,
                successfulJobsHistoryLimit=ingestion.history_limit,
                failedJobsHistoryLimit=ingestion.history_limit,
            )
        )
    if managed and managed.snapshots:
        snapshot = job(server, DEFAULTS, Run("snapshot", "", ""))
        name, schedule = f"{server.key.name}-snapshot", managed.snapshots.schedule
        found.append(_on_schedule(snapshot, name, schedule=schedule, timeZone="Etc/UTC"))
    return found


def _on_schedule(job: Manifest, name: str, **fields: Any) -> Manifest:  # noqa: ANN401 - JSON values
    metadata = {**job["metadata"], "name": name}
    template = {"metadata": {name: metadata[name] for name in ("labels", "annotations")}, "spec": job["spec"]}
    fields |= {"concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 1800, "jobTemplate": template}
    return {**job, "kind": "CronJob", "metadata": metadata, "spec": fields}


def check(name: str, spec: dict[str, Any]) -> None:
    # Without a UID, which no release of a chart has: it tells the owners of collections apart.
    server = replace(parse_server(resource(name, **spec), forbid_unknown=True), uid="")
    namespace = ("--namespace", server.key.namespace)
    plain = comparable(render(SERVER_CHART, values_of(server, spec), *namespace, "--no-hooks"))
    operators = comparable(of_operator(server))
    assert list(differences(plain, operators)) == []


ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/flame_operator/desired/golden").glob("*.in.yaml"))
VALID = yaml.safe_load((ROOT / "tests/cluster/validity/valid.yaml").read_text())


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.name.removesuffix(".in.yaml"))
def test_golden_resources(file: Path) -> None:
    body = yaml.safe_load(file.read_text())
    check(body["metadata"]["name"], body.get("spec") or {})


@pytest.mark.parametrize("spec", VALID, ids=lambda spec: str(spec)[:60])
def test_every_valid_spec(spec: dict[str, Any]) -> None:
    if not {"suspend", "operatorClass"} & spec.keys():  # which say nothing without an operator
        check("docs", spec)


@pytest.mark.parametrize("spec", VALID, ids=lambda spec: str(spec)[:60])
def test_the_operator_gets_the_same_settings(spec: dict[str, Any]) -> None:
    server = parse_server(resource("docs", **spec), forbid_unknown=True)
    values = {**values_of(server, spec), "operator": {"enabled": True}}
    values.pop("secrets", None)  # which the operator makes
    (found,) = render(SERVER_CHART, values, "--namespace", server.key.namespace, "--no-hooks")
    made = parse_server({**found, "metadata": {**found["metadata"], "uid": "uid-1"}}, forbid_unknown=True)
    assert (made.key, made.spec) == (server.key, server.spec)


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(specs.names, chart_specs())
def test_generated_specs(name: str, spec: dict[str, Any]) -> None:
    check(name, spec)
