"""The plain chart makes the same objects as the operator, for the same settings.

The difference that is allowed is what tells whose an object is: owner references, the labels of the manager and
of the chart, and the operator's own notes on objects. A generated token and generated keys are values here, so
the Secrets are compared as well.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from flame_operator.cli import WITHOUT_CLUSTER
from flame_operator.desired import Defaults, desired
from flame_operator.desired.ingestion import Run, job
from flame_operator.desired.unions import loads, managed_qdrant
from flame_operator.model import Manifest, Server, parse_server
from tests.charts.helm_cli import SERVER_CHART, render
from tests.flame_operator import specs
from tests.flame_operator.fake_kube import server as resource

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

IMAGE = "flame-mcp/server:0.1.0"
DEFAULTS = Defaults(
    image=IMAGE,
    qdrant_image="qdrant/qdrant:v1.19.1-unprivileged",
    http_routes=True,
    service_monitors=True,
)
GENERATED = "generated-by-the-operator"
NOTES = ("applied-hash", "references-digest", "owns-secret", "task", "trigger", "inputs", "attempt")
URLS = st.sampled_from(
    [
        "https://qdrant.example.com",
        "https://Qdrant.Example.com:6333/path",
        "http://10.1.2.3:6333",
        "http://127.0.0.1:6333",
        "http://[2001:db8::1]:6333",
        "http://[::1]",
        "http://qdrant",
        "http://localhost:80",
        "http://qdrant.vectors",
        "https://qdrant.vectors:7000",
        "http://qdrant.vectors.svc:6333",
        "http://qdrant.vectors.svc.cluster.local:6333",
        "http://qdrant.vectors.svc.corp.example:6333",
        "http://a.b.c.svc.cluster.local.",
        "http://256.1.1.1:1",
        "http://svc.svc.svc",
    ]
)
HTTPS = st.sampled_from(
    ["https://a.example.com", "https://a.example.com:8443/x", "https://10.0.0.8", "https://git.svc", "https://g.ns.svc"]
)


def _mode(spec: dict[str, Any]) -> str:
    if "ingestion" in spec:
        return "fullStack"
    return "withQdrant" if spec.get("vectorStore", {}).get("type") == "Managed" else "standalone"


def values_of(server: Server, spec: dict[str, Any]) -> dict[str, Any]:
    """The chart's values for a resource."""
    values = {"fullnameOverride": server.key.name, "mode": _mode(spec), **spec}
    secrets: dict[str, Any] = {}
    if server.spec.auth.type == "Bearer" and not (
        server.spec.auth.bearer and server.spec.auth.bearer.token_secret_ref
    ):
        secrets["token"] = {"value": GENERATED}
    if managed_qdrant(server):
        secrets["qdrant"] = {"apiKey": GENERATED, "readOnlyApiKey": GENERATED}
    return values | ({"secrets": secrets} if secrets else {})


def of_operator(server: Server) -> list[Manifest]:
    """All that the operator makes of a resource, with runs on a schedule as the CronJobs that a chart has for them."""
    found = list(desired(server, DEFAULTS, WITHOUT_CLUSTER))
    ingestion, managed = server.spec.ingestion, managed_qdrant(server)
    load = job(server, DEFAULTS, Run("ingest", "", ""))
    if loads(server) and not (ingestion and ingestion.suspend):
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
    labels = {"metadata": {"labels": metadata["labels"]}, "spec": job["spec"]}
    fields |= {"concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 1800, "jobTemplate": labels}
    return {**job, "kind": "CronJob", "metadata": metadata, "spec": fields}


def comparable(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The objects by kind and name, without what tells whose they are."""
    found = {}
    for manifest in map(copy.deepcopy, manifests):
        manifest["metadata"].pop("ownerReferences", None)
        for place in (manifest, *_templates(manifest)):
            _anonymous(place)
        name = re.sub(r"-ingest-[0-9a-f]{8}$", "-ingest-RUN", manifest["metadata"]["name"])
        manifest["metadata"]["name"] = name
        found[f"{manifest['kind']} {name}"] = manifest
    return found


def _templates(manifest: Manifest) -> list[Manifest]:
    """The pod templates and job templates of an object."""
    spec = manifest.get("spec", {})
    nested = [spec[name] for name in ("template", "jobTemplate") if name in spec]
    return nested + [inner for one in nested for inner in _templates(one)]


def _anonymous(place: Manifest) -> None:
    metadata = place.setdefault("metadata", {})
    for label in ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"):
        metadata.get("labels", {}).pop(label, None)
    for note in NOTES:
        metadata.get("annotations", {}).pop(f"flamemcp.dev/{note}", None)
    if not metadata.get("annotations"):
        metadata.pop("annotations", None)


def differences(plain: Any, operators: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON values
    """Where two JSON values differ."""
    if isinstance(plain, dict) and isinstance(operators, dict):
        for name in sorted({*plain, *operators}):
            yield from differences(plain.get(name), operators.get(name), f"{path}/{name}")
    elif isinstance(plain, list) and isinstance(operators, list) and len(plain) == len(operators):
        for index, pair in enumerate(zip(plain, operators, strict=True)):
            yield from differences(*pair, f"{path}/{index}")
    elif plain != operators or type(plain) is not type(operators):
        yield f"{path}: {plain!r} in the chart, {operators!r} of the operator"


def check(name: str, spec: dict[str, Any]) -> None:
    server = parse_server(resource(name, **spec), forbid_unknown=True)
    namespace = ("--namespace", server.key.namespace)
    plain = comparable(render(SERVER_CHART, values_of(server, spec), *namespace))
    operators = comparable(of_operator(server))
    assert list(differences(plain, operators)) == []


ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/flame_operator/golden").glob("*.in.yaml"))
VALID = yaml.safe_load((ROOT / "tests/cluster/validity/valid.yaml").read_text())


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.name.removesuffix(".in.yaml"))
def test_golden_resources(file: Path) -> None:
    body = yaml.safe_load(file.read_text())
    check(body["metadata"]["name"], body.get("spec") or {})


@pytest.mark.parametrize("spec", VALID, ids=lambda spec: str(spec)[:60])
def test_every_valid_spec(spec: dict[str, Any]) -> None:
    if not spec.get("suspend"):  # which says nothing without an operator
        check("docs", spec)


def _sane(value: Any, draw: st.DrawFn) -> Any:  # noqa: ANN401 - JSON values
    """The value with URLs that mean something, and without control characters, which Helm's YAML loses.

    The schema's patterns let pass much that means nothing.
    """
    if isinstance(value, list):
        return [_sane(item, draw) for item in value]
    if isinstance(value, str):
        return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", "", value)
    if not isinstance(value, dict):
        return value
    return {
        name: draw(HTTPS if item.startswith("https:") else URLS)
        if name in ("url", "endpoint", "baseURL", "issuer") and isinstance(item, str)
        else _sane(item, draw)
        for name, item in value.items()
    }


def _within_rules(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with the CRD's rules between fields kept, which the schema alone doesn't tell."""
    store = spec.get("vectorStore", {}).get("type", "Embedded")
    if store == "Embedded":
        spec.pop("ingestion", None)
        if spec.get("embedding", {}).get("type") in ("AzureOpenAI", "OpenAI"):
            spec.pop("embedding")
    if "autoscaling" in spec:
        spec.pop("replicas", None)
        spec["autoscaling"]["maxReplicas"] = 50
    if "ingress" in spec:
        spec["ingress"]["allowUnauthenticated"] = True
    return {name: value for name, value in spec.items() if name != "suspend"}


@st.composite
def _specs(draw: st.DrawFn) -> dict[str, Any]:
    """Half of them with a Qdrant server or docs to load: left to chance, most would have neither."""
    fields = specs.SPEC["properties"]
    spec: dict[str, Any] = draw(specs.specs)
    if draw(st.booleans()):
        spec |= {name: draw(specs.values(fields[name])) for name in ("vectorStore", "embedding")}
        if draw(st.booleans()):
            spec["ingestion"] = draw(specs.values(fields["ingestion"]))
    return _within_rules(_sane(spec, draw))


@settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(specs.names, _specs())
def test_generated_specs(name: str, spec: dict[str, Any]) -> None:
    check(name, spec)
