"""The operator's probe against the real server over HTTP, in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import StaticTokenVerifier

from flame_operator.resource.status import IndexInfo, ServerInfo
from flame_operator.verification.mcp_check import PROTOCOL_VERSION, McpCheck
from flame_operator.verification.verdict import AuthType, Finding, Target
from flame_server.search.local import open_searcher
from flame_server.serving.app import create_server
from flame_server.serving.server import _listen
from flame_server.settings import Settings


@pytest.fixture
def server(lexical_index: Path) -> FastMCP:
    return create_server(open_searcher(lexical_index, "None"), Settings())


@asynccontextmanager
async def served(server: FastMCP, *, json_response: bool = True, **settings: Any) -> AsyncIterator[str]:  # noqa: ANN401
    app = server.http_app(path="/mcp", stateless_http=True, json_response=json_response, **settings)
    (listener,) = _listen("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    task = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        await task


def target(url: str, *, auth: AuthType = "None", query: str = "viewport", min_results: int = 1) -> Target:
    return Target(url, "docs.team.svc", auth, query, min_results, 600, "1")


@pytest.mark.parametrize("json_response", [True, False], ids=["json", "sse"])
async def test_a_server_that_answers(server: FastMCP, json_response: bool) -> None:
    async with served(server, json_response=json_response) as url:
        verdict = await McpCheck()(target(url))
    assert (verdict.ok, verdict.limited, verdict.reason) == (True, False, Finding.ANSWERING)
    assert verdict.server == ServerInfo(
        "flame-mcp",
        server.version or "",
        PROTOCOL_VERSION,
        ("get_flame_knowledge", "get_flame_page", "list_flame_docs"),
    )
    assert isinstance(verdict.index, IndexInfo)
    assert (verdict.index.documents, verdict.index.chunks, verdict.index.embedding) == (2, 4, "None")


async def test_the_same_server_gets_the_same_verdict(server: FastMCP) -> None:
    async with served(server) as url:
        assert await McpCheck()(target(url)) == await McpCheck()(target(url))


async def test_too_few_results(server: FastMCP) -> None:
    async with served(server) as url:
        verdict = await McpCheck()(target(url, query="viewport", min_results=20))
    assert (verdict.ok, verdict.reason) == (False, Finding.TOO_FEW_RESULTS)
    assert "found 1 of the 20 results that verification.minResults asks for" in verdict.message
    assert verdict.server is not None


async def test_what_the_tool_objects_to_is_told(server: FastMCP) -> None:
    async with served(server) as url:
        verdict = await McpCheck()(target(url, query=" "))
    assert (
        verdict.message
        == "The canary query failed: the tool reports the error 'query is empty: say what to look for'."
    )


async def test_a_token_is_asked_for(server: FastMCP) -> None:
    server.auth = StaticTokenVerifier({"secret": {"client_id": "someone", "scopes": []}})
    async with served(server) as url:
        wanted = await McpCheck()(target(url, auth="Bearer"))
        unwanted = await McpCheck()(target(url))
    assert (wanted.ok, wanted.limited, wanted.reason) == (True, True, Finding.ANSWERING_AUTH_REQUIRED)
    assert wanted.index is not None
    assert unwanted.reason == Finding.NOT_ANSWERING
    assert "the server asks for a token (401), although auth.type is None" in unwanted.message


@pytest.mark.parametrize("auth", ["Bearer", "OIDC"])
async def test_authentication_that_is_not_enforced_is_a_failure(server: FastMCP, auth: AuthType) -> None:
    async with served(server) as url:
        verdict = await McpCheck()(target(url, auth=auth))
    assert (verdict.ok, verdict.reason) == (False, Finding.NOT_ANSWERING)
    assert f"auth.type is {auth}, and it doesn't enforce it" in verdict.message


async def test_a_host_name_that_the_server_does_not_serve(server: FastMCP) -> None:
    async with served(server, host_origin_protection=True, allowed_hosts=["other.team.svc"]) as url:
        refused = await McpCheck()(target(url))
    async with served(server, host_origin_protection=True, allowed_hosts=["docs.team.svc"]) as url:
        served_name = await McpCheck()(target(url))
    assert refused.message == "GET /health/ready failed: the server answers with HTTP status 421."
    assert served_name.ok
