"""An operator whose CRD is older than itself reports what that CRD knows."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from flame_operator.errors import Undeclared
from flame_operator.resource.kinds import SERVER, Manifest
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.reconciling import KEY, Operator

SAYS = "failed to create typed patch object (team/docs): .status.operator: field not declared in schema"


class OldCrd(FakeKube):
    """An API server with a CRD that lacks `status.operator`."""

    async def patch_status(self, server: Manifest, status: Manifest, **how: Any) -> Manifest | None:  # noqa: ANN401
        if "operator" in status:
            self.requests.append("status")
            raise Undeclared(SAYS)
        return await super().patch_status(server, status, **how)


async def test_a_field_that_the_crd_lacks_is_left_out_and_told_once() -> None:
    kube = OldCrd()
    operator = Operator(kube)
    operator.cache.put(kube.create(server()))
    with capture_logs() as logs:
        await operator.reconcile(KEY)
        kube.requests.clear()
        await operator.reconcile(KEY)
    assert "status" not in kube.requests
    assert "conditions" in kube.objects[SERVER.kind, KEY]["status"]
    warnings = [one for one in logs if one["log_level"] == "warning"]
    assert [one["fields"] for one in warnings] == [["operator"]]


class OlderRun(FakeKube):
    """An API server with a CRD whose runs lack `sources`."""

    async def patch_status(self, server: Manifest, status: Manifest, **how: Any) -> Manifest | None:  # noqa: ANN401
        if "sources" in status["ingestion"]:
            raise Undeclared("(team/docs): .status.ingestion.sources: field not declared in schema")
        return await super().patch_status(server, status, **how)


async def test_a_field_inside_another_is_left_out_alone() -> None:
    """Without the records of runs, each pass would start one."""
    pages = {"kind": "ConfigMap", "metadata": {"name": "pages", "namespace": "team"}, "data": {"a.md": "# A"}}
    spec: dict[str, Any] = {"vectorStore": {"type": "External", "external": {"url": "https://q.example"}}}
    spec["ingestion"] = {"sources": [{"name": "docs", "configMapRef": {"name": "pages"}}]}
    kube = OlderRun()
    operator = Operator(kube)
    operator.cache.put(kube.create(server(**spec)))
    kube.create(pages)
    for _ in range(3):
        await operator.reconcile(KEY)
    record = kube.objects[SERVER.kind, KEY]["status"]["ingestion"]
    assert record["phase"] == "Running"
    assert "sources" not in record
    assert len([kind for kind, _ in kube.objects if kind == "Job"]) == 1


async def test_another_refusal_is_no_reason_to_leave_anything_out() -> None:
    kube = FakeKube()
    operator = Operator(kube)
    operator.cache.put(kube.create(server()))
    kube.fail["status"] = Undeclared(".status.other: field not declared in schema")
    with pytest.raises(Undeclared):
        await operator.reconcile(KEY)
