"""The API client against an HTTP server on the loopback interface that answers what the test says."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from flame_operator.errors import Conflict, NamespaceTerminating, Refused, Unavailable, UserError
from flame_operator.kube import ATTEMPTS, AioKube, connect
from flame_operator.model import DEPLOYMENT, SERVER, SERVICE, Key
from tests.flame_operator.fake_kube import server

KEY = Key("team", "docs")
CHILD = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "docs", "namespace": "team", "uid": "u1"},
}


class Api:
    """Answers in turn; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.asked: list[tuple[str, str, dict[str, str], Any, str]] = []
        self.slept: list[float] = []
        self.kube: AioKube

    def answer(self, status: int, body: object, **headers: str) -> None:
        self.answers.append(
            (status, body, {name.replace("_", "-"): value for name, value in headers.items()})
        )

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        content_type = request.headers.get("Content-Type", "")
        body = json.loads(text) if text else None
        self.asked.append((request.method, request.path, dict(request.query), body, content_type))
        status, answer, headers = self.answers.pop(0)
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(status=status or 200, text=text, headers=headers, content_type="application/json")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with ApiClient(Configuration(host=f"http://127.0.0.1:{port}")) as client:
        api.kube = AioKube(client, concurrency=4, sleep=api.sleep, jitter=lambda: 1.0)
        yield api
    await runner.cleanup()


def problem(code: int, message: str, **cause: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "code": code,
        "message": message,
        "details": {"causes": [cause] if cause else []},
    }


async def test_a_change_names_the_object_it_is_for(api: Api) -> None:
    api.answer(200, CHILD)
    assert await api.kube.apply(CHILD, uid="u1") == CHILD
    method, path, query, body, content_type = api.asked[0]
    assert (method, path) == ("PATCH", "/api/v1/namespaces/team/services/docs")
    assert query == {"fieldManager": "flame-operator", "force": "true"}
    assert content_type == "application/apply-patch+yaml"
    assert body["metadata"]["uid"] == "u1"
    assert "resourceVersion" not in body["metadata"]


async def test_a_creation_can_not_overwrite(api: Api) -> None:
    api.answer(201, CHILD)
    await api.kube.apply({**CHILD, "metadata": {"name": "docs", "namespace": "team"}}, uid=None)
    assert api.asked[0][3]["metadata"]["resourceVersion"] == "1"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (409, problem(409, "the object has been modified"), Conflict),
        (422, problem(422, "immutable", reason="FieldValueInvalid", field="metadata.uid"), Conflict),
        (422, problem(422, "spec.replicas: too many", field="spec.replicas"), Refused),
        (403, problem(403, "forbidden"), Refused),
        (403, problem(403, "being terminated", reason="NamespaceTerminating"), NamespaceTerminating),
        (404, problem(404, "no such kind"), Refused),
        (400, "<html>not Kubernetes</html>", Refused),
    ],
)
async def test_refusals_are_told_apart_and_not_repeated(
    api: Api, status: int, body: dict[str, Any] | str, error: type[Exception]
) -> None:
    api.answer(status, body)
    with pytest.raises(error) as raised:
        await api.kube.apply(CHILD, uid="u1")
    assert type(raised.value) is error or error is Refused
    assert (body["message"] if isinstance(body, dict) else body) in str(raised.value)
    assert len(api.asked) == 1


@pytest.mark.parametrize("trouble", [429, 500, 503, 0])
async def test_trouble_is_tried_again(api: Api, trouble: int) -> None:
    api.answer(trouble, problem(trouble, "later"))
    api.answer(200, CHILD)
    assert await api.kube.apply(CHILD, uid="u1") == CHILD
    assert api.slept == [0.25]


async def test_retry_after_is_respected(api: Api) -> None:
    api.answer(429, problem(429, "slow down"), Retry_After="7")
    api.answer(200, CHILD)
    await api.kube.apply(CHILD, uid="u1")
    assert api.slept == [7.0]


async def test_long_trouble_is_given_up_with_growing_delays(api: Api) -> None:
    for _ in range(ATTEMPTS):
        api.answer(503, problem(503, "etcd is down"))
    with pytest.raises(Unavailable, match="etcd is down"):
        await api.kube.apply(CHILD, uid="u1")
    assert api.slept == [0.25, 0.5, 1.0, 2.0, 4.0]


async def test_lists_are_read_page_by_page(api: Api) -> None:
    api.answer(200, {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]})
    api.answer(200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]})
    items = [item async for item in api.kube.list(DEPLOYMENT, selector="a=b")]
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert items[0]["kind"] == "Deployment"
    assert items[0]["apiVersion"] == "apps/v1"
    assert api.asked[0][1:3] == ("/apis/apps/v1/deployments", {"limit": "500", "labelSelector": "a=b"})
    assert api.asked[1][2]["continue"] == "next"


async def test_a_list_whose_pages_expire_starts_again(api: Api) -> None:
    api.answer(200, {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]})
    api.answer(410, problem(410, "the provided continue parameter is too old"))
    api.answer(200, {"metadata": {}, "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]})
    found = {item["metadata"]["name"] async for item in api.kube.list(SERVER, namespace="team")}
    assert found == {"a", "b"}
    assert api.asked[2][1:3] == ("/apis/flamemcp.dev/v1alpha1/namespaces/team/flamemcpservers", {})


async def test_a_missing_object_is_no_error(api: Api) -> None:
    for _ in range(3):
        api.answer(404, problem(404, "not found"))
    assert await api.kube.get(SERVICE, KEY) is None
    await api.kube.delete(CHILD)
    assert await api.kube.patch_status(server(), {}) is None


async def test_only_the_meant_object_is_deleted(api: Api) -> None:
    api.answer(200, {})
    api.answer(409, problem(409, "the UID in the precondition differs"))
    await api.kube.delete(CHILD)
    assert api.asked[0][3]["preconditions"] == {"uid": "u1"}
    with pytest.raises(Conflict):
        await api.kube.delete(CHILD)


async def test_the_status_is_written_alone(api: Api) -> None:
    api.answer(200, server())
    await api.kube.patch_status(server(replicas=3), {"mode": "Standalone"})
    _, path, query, body, _ = api.asked[0]
    assert path == "/apis/flamemcp.dev/v1alpha1/namespaces/team/flamemcpservers/docs/status"
    assert query["fieldManager"] == "flame-operator-status"
    assert body["metadata"] == {"name": "docs", "namespace": "team", "uid": "uid-1"}
    assert "spec" not in body


async def test_no_credentials_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:  # noqa: ANN401
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match="Set KUBECONFIG"):
        async with connect(concurrency=1):
            pass
