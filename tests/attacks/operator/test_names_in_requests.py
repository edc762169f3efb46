"""Of attack 28's kind, path traversal in a reference: names that Kubernetes itself doesn't check.

The API server takes any text as the name of the claim in a volume of a Job. The operator looks that claim up,
to explain why a run doesn't start.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import jsonschema
import pytest
import yaml
from aiohttp import web
from kubernetes.aio.client import Configuration

from flame_operator.api.kube import AioKube
from flame_operator.api.transport import Transport, open_session
from flame_operator.diagnosis.diagnosis import Diagnosis
from flame_operator.resource.kinds import JOB, SECRET, SERVER, VOLUME_CLAIM, Key, Manifest
from tests.harness.paths import REPO
from tests.support.operator.pods import no_node, pod
from tests.support.operator.tenants import Tenants

CRD = yaml.safe_load((REPO / "crds/flamemcpservers.yaml").read_text())
STATUS = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
NO_CLAIM = no_node("pod has unbound immediate PersistentVolumeClaims")
NAMES = [
    "../../../kube-system/secrets/bootstrap-token",
    "../../../../configmaps",
    "../secrets/other",
    "..",
    ".",
    "handbook?watch=true",
    "handbook#x",
    "handbook/status",
    "%2e%2e/secrets/other",
    "..%2fsecrets%2fother",
    "handbook\r\nX-Header: x",
    "a\\..\\b",
    "x" * 100_000,
]


@dataclass
class Api:
    """An API server that has nothing, and what it was asked for."""

    asked: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.raw_path)
        return web.json_response({"kind": "Status", "code": 404}, status=404)


@pytest.fixture
async def api() -> AsyncIterator[tuple[Api, AioKube]]:
    found, app = Api(), web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    async with open_session(configuration, 4, "test") as session:
        yield found, AioKube(Transport(configuration, session, concurrency=4))
    await runner.cleanup()


def job(claim_name: str) -> Manifest:
    metadata = {"name": "docs-ingest-1", "namespace": "team", "uid": "uid-of-job"}
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": claim_name}}]
    return {"kind": "Job", "metadata": metadata, "spec": {"template": {"spec": {"volumes": volumes}}}}


@pytest.mark.parametrize("name", NAMES)
async def test_a_claim_whose_name_leads_elsewhere(api: tuple[Api, AioKube], name: str) -> None:
    """The operator told whether any Secret of the cluster exists, and listed all ConfigMaps in each pass."""
    server, kube = api
    cause = await Diagnosis(kube).of_run(job(name), [pod(conditions=(NO_CLAIM,))], 60)
    assert server.asked == []
    assert cause is not None
    assert "doesn't exist" in cause.message
    assert cause.message.isprintable()
    assert len(cause.message) < 1000


@pytest.mark.parametrize("name", NAMES)
async def test_no_read_leaves_the_object_that_it_names(api: tuple[Api, AioKube], name: str) -> None:
    """Kind of it: whatever else comes to read an object by such a name."""
    server, kube = api
    for kind, key in ((SECRET, Key("team", name)), (VOLUME_CLAIM, Key(name, "handbook"))):
        assert await kube.get(kind, key) is None
        assert await kube.get_metadata(kind, key) is None
    assert server.asked == []


@pytest.mark.parametrize("name", NAMES)
async def test_a_run_that_the_tenant_has_replaced(name: str) -> None:
    """The whole way: the tenant deletes the run's Job, and makes one of its name with such a volume."""
    town = Tenants()
    (key,) = town.add("team")
    await town.reconcile(key)
    made = town.job(key)
    pod_spec = made["spec"]["template"]["spec"] | job(name)["spec"]["template"]["spec"]
    spec = {"template": {"spec": pod_spec}}
    town.operator.cache.put(town.kube.edit(JOB.kind, Key("team", made["metadata"]["name"]), spec=spec))
    town.pod(key, {"phase": "Pending", "conditions": [NO_CLAIM]})
    await town.later(60, key)
    status: Manifest = town.kube.objects[SERVER.kind, key]["status"]
    jsonschema.validate(status, STATUS)
    told = status["ingestion"]["progress"]
    assert "doesn't exist" in told
    assert told.isprintable()
    assert len(told) < 1000
