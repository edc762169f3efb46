"""The official MCP client against a real server: both generations of the protocol, over HTTP and stdio."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import TextContent, TextResourceContents

from tests.support.server.server_process import FLAME_MCP, ready, running

Mode = Literal["legacy", "auto"]
VERSIONS: dict[Mode, str] = {"legacy": "2025-11-25", "auto": "2026-07-28"}


@asynccontextmanager
async def connected(transport: str, index: Path, mode: Mode) -> AsyncIterator[Client]:
    if transport == "stdio":
        settings = {"FLAME_MCP_INDEX_DIR": str(index), "FLAME_MCP_EMBEDDING_TYPE": "None"}
        command, *arguments = [*FLAME_MCP, "serve", "--transport", "stdio"]
        server = StdioServerParameters(command=command, args=arguments, env={**os.environ, **settings})
        async with Client(server, mode=mode) as client:
            yield client
    else:
        with running([*FLAME_MCP, "serve"], index) as (process, port):
            ready(process, port)
            async with Client(f"http://127.0.0.1:{port}/mcp", mode=mode) as client:
                yield client


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_everything_works(transport: str, mode: Mode, lexical_index: Path) -> None:
    async with connected(transport, lexical_index, mode) as client:
        assert client.server_info
        assert client.server_info.name == "flame-mcp"
        assert client.protocol_version == VERSIONS[mode]
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["get_flame_knowledge", "get_flame_page", "list_flame_docs"]
        found = await client.call_tool("get_flame_knowledge", {"query": "camera viewport", "limit": 1})
        assert found.structured_content
        assert found.structured_content["results"][0]["title"] == "Viewport"
        more = {"query": "camera viewport", "limit": 1, "cursor": found.structured_content["next_cursor"]}
        following = await client.call_tool("get_flame_knowledge", more)
        assert following.structured_content
        assert following.structured_content["results"][0]["title"] != "Viewport"
        page = await client.call_tool("get_flame_page", {"path": "flame/camera"})
        assert page.structured_content
        assert page.structured_content["content"].startswith("# Camera")
        listed = await client.call_tool("list_flame_docs", {})
        assert listed.structured_content
        assert len(listed.structured_content["pages"]) == 2
        refused = await client.call_tool("get_flame_page", {"path": "none"})
        assert refused.is_error
        (said,) = refused.content
        assert isinstance(said, TextContent)
        assert said.text.startswith("there is no page 'none'")
        (resource,) = (await client.read_resource("flame://latest/flame/camera.md")).contents
        assert isinstance(resource, TextResourceContents)
        assert resource.text == page.structured_content["content"]
        with pytest.raises(MCPError, match="there is no page"):
            await client.read_resource("flame://latest/none.md")
