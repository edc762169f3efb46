"""Docs that mean harm: indexes of them, servers over them, and what an answer costs."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastmcp import Client
from fastmcp.client.client import CallToolResult
from mcp.types import TextContent

from flame_server.index.build import build_index
from flame_server.search.local import Searcher, open_searcher
from flame_server.search.service import SearchService
from flame_server.serving.app import create_server
from flame_server.settings import Settings
from flame_server.text.wordpiece import TokenCounter, load_tokenizer

COUNT = TokenCounter(load_tokenizer())
TOOLS = ("get_flame_knowledge", "get_flame_page", "list_flame_docs")


def indexed(folder: Path, pages: Mapping[str, str]) -> tuple[Searcher, list[str]]:
    """A search service over these pages, by their paths, and the lines that the build reported."""
    for path, text in pages.items():
        file = folder / "docs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    said: list[str] = []
    build_index(str(folder / "docs"), folder / "index", embedding="none", report=said.append)
    return open_searcher(folder / "index", "None"), said


@asynccontextmanager
async def connected(searcher: SearchService) -> AsyncIterator[Client[Any]]:
    """A client of a server over this service, in this process."""
    async with Client(create_server(searcher, Settings())) as client:
        yield client


async def sent(client: Client[Any], tool: str, **arguments: object) -> str:
    """The text content that a client receives, of an answer or of an error."""
    return text_of(await client.call_tool(tool, arguments, raise_on_error=False))


def text_of(result: CallToolResult) -> str:
    """The text content of a result."""
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


class Lag:
    """How long the event loop computed at a stretch: CPU time of its thread, so other load does not count."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator["Lag"]:
        """Measures while the block runs."""
        task = asyncio.create_task(self._watch())
        try:
            await asyncio.sleep(0.01)
            yield self
        finally:
            task.cancel()

    async def _watch(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            self.seconds = max(self.seconds, now - before)
            before = now
