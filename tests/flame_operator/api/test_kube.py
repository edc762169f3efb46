"""The API client against an HTTP server on the loopback interface that answers what the test says."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from flame_operator.api.calls import CHILD_BYTES
from flame_operator.api.kube import AioKube
from flame_operator.api.lists import MOST_EVENTS, MOST_PODS
from flame_operator.api.paging import PAGE, PAGE_BYTES
from flame_operator.api.transport import ATTEMPTS, Transport, connect, open_session
from flame_operator.errors import (
    Conflict,
    Forbidden,
    NamespaceTerminating,
    Refused,
    TooLarge,
    Unavailable,
    UserError,
)
from flame_operator.resource.kinds import (
    CONTENT_OMITTED,
    DEPLOYMENT,
    INSTANCE,
    POD,
    SERVER,
    SERVICE,
    Key,
    is_whole,
)
from tests.support.operator.fake_kube import server

KEY = Key("team", "docs")
CHILD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "docs", "namespace": "team", "uid": "u1"},
}


class Api:
    """Answers in turn; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.asked: list[tuple[str, str, dict[str, str], Any, str]] = []
        self.accepted: list[str] = []
        self.slept: list[float] = []
        self.timeouts: list[str] = []
        self.valid_for: list[float] = []
        self.kube: AioKube

    def answer(self, status: int, body: object, **headers: str) -> None:
        self.answers.append(
            (status, body, {name.replace("_", "-"): value for name, value in headers.items()})
        )

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        content_type = request.headers.get("Content-Type", "")
        body = json.loads(text) if text else None
        query = dict(request.query)
        # Only writes have one, so that the API server gives them up when we do.
        assert ("timeout" in query) == (request.method != "GET")
        self.timeouts.append(query.pop("timeout", ""))
        self.asked.append((request.method, request.path, query, body, content_type))
        self.accepted.append(request.headers["Accept"])
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
    configuration = Configuration(host=f"http://127.0.0.1:{port}")
    async with open_session(configuration, 4, "test") as session:
        transport = Transport(configuration, session, concurrency=4, sleep=api.sleep, jitter=lambda: 1.0)
        api.kube = AioKube(transport, valid_for=lambda: api.valid_for.pop(0) if api.valid_for else 99.0)
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
        (403, problem(403, "forbidden"), Forbidden),
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
    assert api.asked[0][1:3] == ("/apis/apps/v1/deployments", {"limit": str(PAGE), "labelSelector": "a=b"})
    assert api.asked[1][2]["continue"] == "next"


async def test_a_list_whose_pages_expire_starts_again(api: Api) -> None:
    api.answer(200, {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]})
    api.answer(410, problem(410, "the provided continue parameter is too old"))
    api.answer(200, {"metadata": {}, "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]})
    found = {item["metadata"]["name"] async for item in api.kube.list(SERVER, namespace="team")}
    assert found == {"a", "b"}
    path = "/apis/flamemcp.dev/v1alpha1/namespaces/team/flamemcpservers"
    assert api.asked[2][1:3] == (path, {"limit": str(PAGE)})


async def test_a_list_whose_pages_expire_goes_on_where_the_api_server_offers_it(api: Api) -> None:
    api.answer(200, {"metadata": {"continue": "old"}, "items": [{"metadata": {"name": "a"}}]})
    api.answer(410, {**problem(410, "too old"), "metadata": {"continue": "new"}})
    api.answer(200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]})
    assert [item["metadata"]["name"] async for item in api.kube.list(SERVER)] == ["a", "b"]
    assert api.asked[2][2]["continue"] == "new"


async def test_a_list_whose_page_is_too_large_is_read_in_smaller_ones(api: Api) -> None:
    large = {"metadata": {"name": "a"}, "data": {"x": "x" * PAGE_BYTES}}
    for _ in range(4):  # with 250, 62, 15 and 3 objects
        api.answer(200, {"metadata": {}, "items": [large]})
    api.answer(200, {"metadata": {"continue": "next"}, "items": [large]})
    api.answer(200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]})
    assert [item["metadata"]["name"] async for item in api.kube.list(DEPLOYMENT)] == ["a", "b"]
    assert [query["limit"] for _, _, query, _, _ in api.asked] == ["250", "62", "15", "3", "1", "1"]


async def test_events_are_those_about_one_object_and_few_fields_of_them(api: Api) -> None:
    events = [
        {
            "reason": "FailedMount",
            "message": "x" * 5000,
            "lastTimestamp": "2026-01-01T00:00:00Z",
            "metadata": {},
        },
        {
            "reason": "FailedCreate",
            "message": "y",
            "eventTime": "2026-01-01T00:00:00.5Z",
            "lastTimestamp": None,
        },
        {"reason": 7, "message": None, "series": {"lastObservedTime": "2026-01-02T00:00:00Z"}},
    ]
    api.answer(200, {"metadata": {"continue": "more"}, "items": [*events, "none"]})
    found = await api.kube.events_about("uid-1", "team")
    assert [(one["reason"], one["time"][:10]) for one in found] == [
        ("FailedMount", "2026-01-01"), ("FailedCreate", "2026-01-01"), ("", "2026-01-02"),
    ]  # fmt: skip
    assert max(len(one["message"]) for one in found) < 2500
    query = {"fieldSelector": "involvedObject.uid=uid-1", "limit": str(MOST_EVENTS)}
    assert [one[1:3] for one in api.asked] == [("/api/v1/namespaces/team/events", query)]


async def test_events_that_are_too_large_are_refused(api: Api) -> None:
    api.answer(200, {"metadata": {}, "items": [{"message": "x" * PAGE_BYTES}]})
    with pytest.raises(Refused):
        await api.kube.events_about("uid-1", "team")


async def test_an_answer_that_is_no_list_is_trouble(api: Api) -> None:
    api.answer(200, "<html>a proxy</html>")
    with pytest.raises(Unavailable, match="isn't a list"):
        _ = [item async for item in api.kube.list(DEPLOYMENT)]


async def test_metadata_is_listed_without_the_rest(api: Api) -> None:
    item = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}}
    api.answer(200, {"metadata": {"continue": "next"}, "items": [item]})
    api.answer(200, {"metadata": {}, "items": None})  # as the API server writes an empty list
    (found,) = [item async for item in api.kube.list(SERVICE, metadata_only=True)]
    assert (found["kind"], found["metadata"]["name"], is_whole(found)) == ("Service", "a", False)
    assert "PartialObjectMetadataList" in api.accepted[0]


async def test_of_pods_only_what_is_read_is_kept_and_not_of_all(api: Api) -> None:
    pod = {
        "metadata": {"name": "a", "annotations": {"x": "y"}},
        "spec": {"x": "y"},
        "status": {"phase": "Running", "conditions": [], "podIP": "192.0.2.1"},
    }
    api.answer(200, {"metadata": {"continue": "next"}, "items": [pod] * MOST_PODS})
    found = [item async for item in api.kube.list(POD, namespace="team")]
    assert len(found) == MOST_PODS
    status = {"phase": "Running", "conditions": []}
    assert found[0] == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": status}


async def test_pods_are_read_up_to_a_number_of_bytes(api: Api) -> None:
    pod = {"metadata": {"name": "a"}, "spec": {"x": "x" * PAGE_BYTES}}
    for _ in range(20):
        api.answer(200, {"metadata": {"continue": "next"}, "items": [pod]})
    found = [item async for item in api.kube.list(POD, namespace="team")]
    # Four pages were too large, and the fifth, of one pod, is the last.
    assert [query["limit"] for _, _, query, _, _ in api.asked] == ["250", "62", "15", "3", "1"]
    assert len(found) == 1


async def test_answers_to_writes_are_bounded(api: Api) -> None:
    labels = {"x": "x" * CHILD_BYTES}
    large = {**CHILD, "metadata": {**CHILD["metadata"], "labels": labels}}
    for _ in range(3):
        api.answer(200, large)
    with pytest.raises(TooLarge):
        await api.kube.apply(CHILD, uid="u1")
    await api.kube.delete(CHILD)
    found = await api.kube.patch_status(server(), {})
    assert found is not None
    assert "labels" not in found["metadata"]


async def test_a_missing_object_is_no_error(api: Api) -> None:
    for _ in range(3):
        api.answer(404, problem(404, "not found"))
    assert await api.kube.get(SERVICE, KEY) is None
    await api.kube.delete(CHILD)
    assert await api.kube.patch_status(server(), {}) is None


async def test_metadata_comes_without_the_rest(api: Api) -> None:
    owner = [{"kind": "FlameMCPServer", "uid": "u1"}]
    who = {"resourceVersion": "7", "ownerReferences": owner, "labels": {INSTANCE: "docs"}}
    labels = {"labels": {INSTANCE: "docs", "x": "y"}, "managedFields": [{}]}
    api.answer(200, {"kind": "PartialObjectMetadata", "metadata": {**who, **labels}})
    api.answer(404, problem(404, "not found"))
    found = await api.kube.get_metadata(SERVICE, KEY)
    assert found is not None
    assert found["metadata"] == {**who, CONTENT_OMITTED: True}
    assert not is_whole(found)
    assert await api.kube.get_metadata(SERVICE, KEY) is None
    assert api.accepted == ["application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"] * 2


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


async def test_a_write_ends_when_this_process_may_no_longer_write(api: Api) -> None:
    for valid_for in (99.0, 3.5):
        api.answer(200, CHILD)
        api.valid_for = [valid_for] * 3
        await api.kube.apply(CHILD, uid="u1")
    assert api.timeouts == ["30000ms", "3500ms"]


@pytest.mark.parametrize(
    "valid_for",
    [[0.0], [1.0, -1.0, -1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [4.0, 4.0, 2.9, 0.0]],
    ids=["before", "while it was made", "while it waited to be sent", "while it waited for too long"],
)
async def test_nothing_is_written_without_a_lease(api: Api, valid_for: list[float]) -> None:
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: api.kube.apply(CHILD, uid="u1"),
        lambda: api.kube.correct({**CHILD, "metadata": {**CHILD["metadata"], "resourceVersion": "1"}}, []),
        lambda: api.kube.delete(CHILD),
        lambda: api.kube.patch_status(server(), {}),
    ]
    for write in writes:
        api.valid_for = list(valid_for)
        with pytest.raises(Unavailable, match="may no longer write"):
            await write()
    assert api.asked == []


async def test_a_write_is_not_repeated_once_the_lease_is_lost(api: Api) -> None:
    api.answer(503, problem(503, "etcd is down"))
    api.valid_for = [1.0, 1.0, 1.0, 0.0]
    with pytest.raises(Unavailable, match="may no longer write"):
        await api.kube.apply(CHILD, uid="u1")
    assert len(api.asked) == 1


async def test_reading_needs_no_lease(api: Api) -> None:
    api.answer(200, CHILD)
    api.valid_for = [0.0]
    assert await api.kube.get(SERVICE, KEY) == CHILD


async def test_an_event_is_created_or_brought_up_to_date_in_one_request(api: Api) -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "docs.1", "namespace": "team"},
        "count": 2,
    }
    api.answer(200, event)
    await api.kube.post_event(event)
    ((method, path, query, body, content_type),) = api.asked
    assert (method, path) == ("PATCH", "/api/v1/namespaces/team/events/docs.1")
    assert (query["fieldManager"], query["force"]) == ("flame-operator", "true")
    assert content_type == "application/apply-patch+yaml"
    assert body == event


async def test_no_credentials_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:  # noqa: ANN401
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UserError, match="Set KUBECONFIG"):
        async with connect(concurrency=1, user_agent="test"):
            pass
