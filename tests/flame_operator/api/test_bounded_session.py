"""The session with which kopf lists and watches servers."""

import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from flame_operator.api.bounded_session import bounded_session
from flame_operator.api.paging import PAGE, PAGE_BYTES
from flame_operator.resource.kinds import SERVER

PATH = SERVER.path("team")


@dataclass(frozen=True)
class Login:
    token: str = "t"  # noqa: S105 - no secret
    proxy_url: str | None = None
    trust_env: bool = False

    def as_ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def as_http_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Api:
    """Answers in turn, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.address = ""
        self.session = bounded_session(Login(), "test")

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        self.headers.append(dict(request.headers))
        status, body = self.answers.pop(0)
        return web.Response(status=status, body=body, content_type="application/json")

    async def get(self, query: str = "?limit=250") -> aiohttp.ClientResponse:
        return await self.session.request(method="get", url=f"{self.address}{PATH}{query}")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    await api.session.close()
    await runner.cleanup()


def page(version: str, token: str = "", *names: str, padding: int = 0) -> tuple[int, bytes]:
    metadata = {"resourceVersion": version} | ({"continue": token} if token else {})
    items = [{"metadata": {"name": name, "labels": {"x": "x" * padding}}} for name in names]
    return 200, json.dumps({"items": items, "metadata": metadata}).encode()


async def test_pages_that_are_too_large_become_smaller_and_larger_again(api: Api) -> None:
    api.answers = [page("9", "", "a", padding=PAGE_BYTES), page("9", "more", "a"), page("9", "", "b")]
    assert await (await api.get()).json() == {
        "items": [{"metadata": {"name": "a"}}],
        "metadata": {"resourceVersion": "9", "continue": "more"},
    }
    await api.get("?limit=250&continue=more")
    limits = [asked["limit"] for asked in api.asked]
    assert limits == [str(PAGE), str(PAGE // 4), str(PAGE // 4 * 4)]


async def test_a_list_goes_on_when_its_pages_have_expired_and_keeps_its_first_version(api: Api) -> None:
    gone = {"kind": "Status", "code": 410, "metadata": {"continue": "newer"}}
    api.answers = [page("9", "old", "a"), (410, json.dumps(gone).encode()), page("20", "", "b")]
    await api.get()
    found = await (await api.get("?limit=250&continue=old")).json()
    assert api.asked[-1]["continue"] == "newer"
    # A watch from the version of the last page would miss what has changed on the first one.
    assert found["metadata"]["resourceVersion"] == "9"


async def test_a_list_begins_anew_when_there_is_nothing_to_go_on_with(api: Api) -> None:
    api.answers = [(410, b"<html>"), page("20", "", "b")]
    await api.get("?limit=250&continue=old")
    assert "continue" not in api.asked[-1]


async def test_a_list_that_expires_again_and_again_is_given_up(api: Api) -> None:
    api.answers = [(410, json.dumps({"metadata": {"continue": "x"}}).encode())] * 5
    assert (await api.get("?limit=250&continue=old")).status == 410
    assert len(api.asked) == 4


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"items":[]}'])
async def test_what_is_no_page_makes_kopf_list_again(api: Api, body: bytes) -> None:
    api.answers = [(200, body)]
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.get()


async def test_errors_and_other_answers_come_as_they_are(api: Api) -> None:
    api.answers = [(403, b'{"kind":"Status","message":"no"}'), (200, b'{"groups":[]}')]
    refused = await api.get()
    assert (refused.status, await refused.json()) == (403, {"kind": "Status", "message": "no"})
    other = await api.session.request(method="get", url=f"{api.address}/apis")
    assert await other.json() == {"groups": []}
    assert api.headers[0]["Authorization"] == "Bearer t"
    assert api.headers[0]["User-Agent"] == "test"


async def events(api: Api, text: bytes) -> list[Any]:
    api.answers = [(200, text)]
    response = await api.get("?watch=true")
    return [json.loads(line) async for line in response.content.iter_chunked(1) if line.strip()]


async def test_events_come_line_by_line_and_large_ones_with_what_is_read(api: Api) -> None:
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}'
    labels = b'"labels":{"x":"' + b"x" * 100_000 + b'"}'
    large = b'{"type":"MODIFIED","object":{"metadata":{"name":"a",' + labels + b'},"spec":{"b":1}}}'
    found = await events(api, bookmark + b"\n" + large + b'\n{"lost')
    assert found == [
        json.loads(bookmark),
        {"type": "MODIFIED", "object": {"metadata": {"name": "a"}, "spec": {"b": 1}}},
    ]


async def test_a_large_line_that_is_no_event_breaks_the_watch_off(api: Api) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await events(api, b"x" * 100_000 + b"\n")


async def test_a_closed_session_opens_no_new_connections(api: Api) -> None:
    closed = bounded_session(Login(), "test")
    await closed.close()
    assert closed.closed
    with pytest.raises(RuntimeError):
        await closed.request(method="get", url=f"{api.address}/apis")


async def test_kopf_recognizes_a_login_that_was_refused(api: Api) -> None:
    assert bounded_session(Login(), "test") == api.session
    assert bounded_session(Login("other"), "test") != api.session
    assert hash(bounded_session(Login(), "test")) == hash(api.session)
