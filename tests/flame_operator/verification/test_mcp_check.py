"""The probe against servers that do what they shouldn't. The real server is in tests/flame_server."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from flame_operator.resource.status import IndexInfo, ServerInfo
from flame_operator.verification.mcp_check import MAX_BODY, McpCheck
from flame_operator.verification.verdict import AuthType, Finding, Target, Verdict

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ABOUT = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "flame-mcp", "version": "1"}}
READY = {"status": "ready", "index": {"documents": 2}}


class Pod:
    """A well-behaved server of which a test replaces parts; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.results: dict[str, Any] = {
            "initialize": ABOUT,
            "tools/list": {"tools": [{"name": "get_flame_knowledge"}]},
            "tools/call": {"structuredContent": {"results": [{}]}},
        }
        self.ready: Handler | None = None
        self.mcp: Handler | None = None
        self.url = ""

    async def handle_ready(self, request: web.Request) -> web.StreamResponse:
        return await self.ready(request) if self.ready else web.json_response(READY)

    async def handle_mcp(self, request: web.Request) -> web.StreamResponse:
        call = await request.json()
        self.asked.append((call["method"], dict(request.headers), call["params"]))
        if self.mcp is not None:
            return await self.mcp(request)
        return web.json_response({"jsonrpc": "2.0", "id": call["id"], "result": self.results[call["method"]]})

    async def check(self, *, auth: AuthType = "None", seconds: float = 10) -> Verdict:
        target = Target(self.url, "docs.team.svc", auth, "q", 1, 600, "1")
        return await McpCheck(timeout_seconds=seconds)(target)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    pod = Pod()
    app = web.Application()
    app.router.add_get("/health/ready", pod.handle_ready)
    app.router.add_post("/mcp", pod.handle_mcp)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pod.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield pod
    await runner.cleanup()


def answers(status: int = 200, **answer: Any) -> Handler:  # noqa: ANN401
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **answer)

    return handle


async def never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


async def drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.001)


async def breaks_off(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_what_is_asked(pod: Pod) -> None:
    verdict = await pod.check()
    assert verdict == Verdict(
        ok=True,
        limited=False,
        reason=Finding.ANSWERING,
        message="The MCP handshake and the canary query were answered.",
        server=ServerInfo("flame-mcp", "1", "2025-06-18", ("get_flame_knowledge",)),
        index=IndexInfo(documents=2),
    )
    assert verdict.server is not None
    assert verdict.server.as_status() == {
        "name": "flame-mcp",
        "version": "1",
        "protocolVersion": "2025-06-18",
        "tools": ["get_flame_knowledge"],
    }
    assert [method for method, _, _ in pod.asked] == ["initialize", "tools/list", "tools/call"]
    assert pod.asked[2][2] == {"name": "get_flame_knowledge", "arguments": {"query": "q", "limit": 1}}
    # The revision that the server chose, from then on.
    assert [headers.get("MCP-Protocol-Version") for _, headers, _ in pod.asked] == [
        None,
        "2025-06-18",
        "2025-06-18",
    ]
    for _, headers, _ in pod.asked:
        assert headers["Host"] == "docs.team.svc"
        assert not {"Authorization", "Cookie"} & set(headers)


@pytest.mark.parametrize(
    ("handler", "trouble"),
    [
        (never, "no complete answer within 0.2 seconds"),
        (drips, "no complete answer within 0.2 seconds"),
        (endless, "the server's answer is larger than 16 KiB"),
        (breaks_off, "the connection was lost"),
        (answers(500), "the server answers with HTTP status 500"),
        (answers(204), "the server answers with HTTP status 204"),
        (answers(401), "the server asks for a token (401), although auth.type is None"),
        (answers(429), "the rate limit refuses it (429): set search.rateLimit.burst to 5 or more"),
        (answers(text="<html>", content_type="text/html"), "the server's answer isn't MCP"),
        (answers(body=b"\xff\xfe", content_type="application/json"), "the server's answer isn't MCP"),
        (answers(text="[" * 16_000, content_type="application/json"), "the server's answer isn't MCP"),
        (answers(text='[{"id": 1}]', content_type="application/json"), "the server's answer isn't MCP"),
        (
            answers(text='{"id": 7, "result": {}}', content_type="application/json"),
            "the server's answer isn't MCP",
        ),
        (answers(text="data: {}\n\n", content_type="text/event-stream"), "the server's answer isn't MCP"),
        (answers(text='{"id": 1, "error": {"message": "no"}}'), "the server reports the error 'no'"),
        (
            answers(body=gzip.compress(b'{"id": 1, "result": {}}'), headers={"Content-Encoding": "gzip"}),
            "the server's answer isn't MCP",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_answer(pod: Pod, handler: Handler, trouble: str) -> None:
    pod.mcp = handler
    # Long enough for the loopback interface even on a busy machine.
    seconds = 0.2 if handler in (never, drips) else 30
    assert await pod.check(seconds=seconds) == Verdict(
        ok=False,
        limited=False,
        reason=Finding.NOT_ANSWERING,
        message=f"The MCP handshake failed: {trouble}.",
    )


async def test_the_readiness_answer_is_bounded_too(pod: Pod) -> None:
    pod.ready = endless
    too_large = "GET /health/ready failed: the server's answer is larger than 16 KiB."
    assert (await pod.check()).message == too_large
    pod.ready = answers(503)
    assert (await pod.check()).message == "GET /health/ready failed: the server answers with HTTP status 503."
    pod.ready = answers(text="fine")
    verdict = await pod.check()
    assert (verdict.ok, verdict.index) == (True, None)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(pod: Pod, status: int) -> None:
    followed: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        followed.append(request.path)
        return web.Response(status=status, headers={"Location": f"{pod.url}/health/ready"})

    pod.ready = pod.mcp = handle
    message = f"the server redirects it (HTTP status {status}), and redirects aren't followed."
    assert (await pod.check()).message == f"GET /health/ready failed: {message}"
    pod.ready = None
    assert (await pod.check()).message == f"The MCP handshake failed: {message}"
    assert followed == ["/health/ready", "/mcp"]


async def test_cookies_and_proxies_are_ignored(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        pod.ready = answers(headers={"Set-Cookie": "a=b; Path=/"}, text="{}")
        assert (await pod.check()).ok
    assert not any("Cookie" in headers for _, headers, _ in pod.asked)


async def test_nobody_listens() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = Target(f"http://127.0.0.1:{nobody.getsockname()[1]}", "h", "None", "q", 1, 600, "1")
        verdict = await McpCheck()(target)
    assert verdict.message == "GET /health/ready failed: connection refused."


async def test_what_is_not_http() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        verdict = await McpCheck()(Target(f"http://127.0.0.1:{port}", "h", "None", "q", 1, 600, "1"))
    assert verdict.message == "GET /health/ready failed: the server's answer isn't HTTP."


async def test_events_may_come_before_the_answer(pod: Pod) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        call = await request.json()
        answer = json.dumps({"id": call["id"], "result": pod.results[call["method"]]}, indent=1)
        data = "".join(f"data: {line}\r\n" for line in answer.splitlines())
        notice = 'event: message\r\ndata: {"method": "notifications/message"}\r\n'
        return web.Response(text=f": hello\r\n\r\n{notice}\r\n{data}\r\n", content_type="text/event-stream")

    pod.mcp = handle
    assert (await pod.check()).ok


async def test_what_a_pod_says_is_bounded_and_printable(pod: Pod) -> None:
    pod.results["initialize"] = {
        "protocolVersion": "9999\n",
        "serverInfo": {"name": "\x1b[31mred\u202e\ud800 " + "x" * 500, "version": 3},
    }
    names = [f"tool_{n:04}" for n in range(1000)] + ["two words", "", "x" * 65, "\x00", 7, None]
    pod.results["tools/list"] = {"tools": [{"name": name} for name in names] + ["no tool", None]}
    info = (await pod.check()).server
    assert info is not None
    assert info.name == "[31mred " + "x" * 55 + "…"
    assert (info.version, info.protocol_version) == ("", "")
    assert info.tools == tuple(f"tool_{n:04}" for n in range(32))
    # What it chose is no revision, and isn't repeated to it.
    assert "MCP-Protocol-Version" not in pod.asked[-1][1]


async def test_what_a_pod_says_of_its_index_is_bounded(pod: Pod) -> None:
    index = {
        "generation": "g1",
        "documents": -1,
        "chunks": 10**400,
        "revision": ["a"],
        "embedding": "a\nb\x07" + "c" * 300,
    }
    pod.ready = answers(text=json.dumps({"index": index}))
    found = (await pod.check()).index
    assert found == IndexInfo(collection="g1", embedding="a b " + "c" * 123 + "…")
    assert found.as_status() == {"collection": "g1", "embedding": "a b " + "c" * 123 + "…"}


@pytest.mark.parametrize(
    ("result", "trouble"),
    [
        (
            {"isError": True, "content": [{"text": "a\nb\x1b[0m" + "c" * 500}]},
            "the error 'a b [0m" + "c" * 192 + "…'",
        ),
        ({"isError": True, "content": []}, "the tool reports the error 'no message'"),
        ({"content": [{"text": "{}"}]}, "the tool returns no structured results"),
        ({"structuredContent": {"results": {}}}, "the tool returns no structured results"),
    ],
)
async def test_a_canary_query_that_fails(pod: Pod, result: dict[str, Any], trouble: str) -> None:
    pod.results["tools/call"] = result
    verdict = await pod.check()
    assert (verdict.ok, verdict.reason) == (False, Finding.NOT_ANSWERING)
    assert verdict.message.startswith("The canary query failed: ")
    assert trouble in verdict.message


async def test_an_empty_index_has_too_few_results(pod: Pod) -> None:
    pod.results["tools/call"] = {"structuredContent": {"results": []}}
    verdict = await pod.check()
    assert (verdict.ok, verdict.reason) == (False, Finding.TOO_FEW_RESULTS)
    assert "found 0 of the 1 results" in verdict.message
    assert verdict.index == IndexInfo(documents=2)


@pytest.mark.parametrize("status", [200, 400, 403, 500])
async def test_with_authentication_only_a_401_is_right(pod: Pod, status: int) -> None:
    pod.mcp = answers(status)
    verdict = await pod.check(auth="OIDC")
    assert (verdict.ok, verdict.limited, verdict.reason) == (False, False, Finding.NOT_ANSWERING)
    assert ("doesn't enforce it" in verdict.message) == (status == 200)
    pod.mcp = answers(401)
    verdict = await pod.check(auth="OIDC")
    assert (verdict.ok, verdict.limited, verdict.reason) == (True, True, Finding.ANSWERING_AUTH_REQUIRED)
    assert [method for method, _, _ in pod.asked] == ["tools/call", "tools/call"]


async def test_an_answer_within_the_bound_is_read_whole(pod: Pod) -> None:
    content = "x" * (MAX_BODY - 200)
    pod.results["tools/call"] = {"structuredContent": {"results": [{"content": content}]}}
    assert (await pod.check()).ok
