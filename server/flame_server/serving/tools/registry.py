"""Registers the tools and resources of the MCP server, with their names, descriptions and schemas."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, ParamSpec, TypeVar

from fastmcp import FastMCP
from fastmcp.exceptions import ResourceError, ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from flame_server.errors import UnavailableError
from flame_server.search.results import Knowledge
from flame_server.search.service import SearchService
from flame_server.serving.tools.arguments import MAX_PATH_CHARS, MAX_QUERY_CHARS, listed, shortened
from flame_server.serving.tools.knowledge import knowledge
from flame_server.serving.tools.listing import Listing, listing
from flame_server.serving.tools.page import Page, page, whole_page
from flame_server.settings import MAX_LIMIT, MAX_TOKENS, MIN_TOKENS, Settings

# Calls that hold passages or a page in memory at once; others wait.
CALLS_AT_ONCE = 16
_P = ParamSpec("_P")
_R = TypeVar("_R")
_QUERY = Field(
    description="What to look for", json_schema_extra={"minLength": 1, "maxLength": MAX_QUERY_CHARS}
)
_PATH = Field(
    description="A result's source_path or url, e.g. flame/camera.md",
    json_schema_extra={"minLength": 1, "maxLength": MAX_PATH_CHARS},
)
_HEADING = Field(description="Only the section with this heading or anchor")
_CURSOR = Field(description="next_cursor of the answer before")


def register(mcp: FastMCP, searcher: SearchService, settings: Settings) -> None:
    """Registers all tools and resources."""
    in_version = Field(description=_version_text(searcher))
    in_group = Field(description=_section_text(searcher))
    tokens = Field(
        description=f"Answer's tokens, {MIN_TOKENS} to {MAX_TOKENS}; default {settings.max_tokens}"
    )
    most = Field(description=f"Passages, 1 to {MAX_LIMIT}; default {settings.default_limit}")
    with_index = functools.partial(_with_index, searcher, asyncio.Semaphore(CALLS_AT_ONCE))

    @mcp.tool(
        description="Search the Flame game engine's docs: components, camera, input, collisions, effects, "
        "audio, Forge2D, Tiled, Jenny and more. Takes a question, an identifier, an error message or a line "
        "of code.",
        annotations=_reads("Search the Flame docs"),
    )
    @with_index
    async def get_flame_knowledge(  # noqa: PLR0913, PLR0917 - the tool's arguments
        query: Annotated[str, _QUERY],
        version: Annotated[str | None, in_version] = None,
        section: Annotated[str | None, in_group] = None,
        limit: Annotated[int | None, most] = None,
        max_tokens: Annotated[int | None, tokens] = None,
        cursor: Annotated[str | None, _CURSOR] = None,
    ) -> Knowledge:
        return await knowledge(searcher, settings, query, version, section, limit, max_tokens, cursor)

    @mcp.tool(
        description="Read a whole page of the Flame docs, or one section of it, in its order.",
        annotations=_reads("Read a page of the Flame docs"),
    )
    @with_index
    async def get_flame_page(
        path: Annotated[str, _PATH],
        version: Annotated[str | None, in_version] = None,
        section: Annotated[str | None, _HEADING] = None,
        max_tokens: Annotated[int | None, tokens] = None,
        cursor: Annotated[str | None, _CURSOR] = None,
    ) -> Page:
        return await page(searcher, settings, path, version, section, max_tokens, cursor)

    @mcp.tool(
        description="List the pages of the Flame docs, with the versions and sections there are.",
        annotations=_reads("List the Flame docs"),
    )
    @with_index
    async def list_flame_docs(
        version: Annotated[str | None, in_version] = None,
        section: Annotated[str | None, in_group] = None,
        max_tokens: Annotated[int | None, tokens] = None,
        cursor: Annotated[str | None, _CURSOR] = None,
    ) -> Listing:
        return await listing(searcher, settings, version, section, max_tokens, cursor)

    @mcp.resource(
        "flame://{version}/{path*}",
        name="flame_page",
        title="A page of the Flame docs",
        description="Markdown of a page, e.g. flame://latest/flame/camera.md",
        mime_type="text/markdown",
    )
    async def flame_page(version: str, path: str) -> str:
        try:
            return (await with_index(whole_page)(searcher, f"flame://{version}/{path}")).content
        except ToolError as error:
            raise ResourceError(str(error), log_level=error.log_level) from None


def _with_index(
    searcher: SearchService, turns: asyncio.Semaphore, answer: Callable[_P, Awaitable[_R]]
) -> Callable[_P, Awaitable[_R]]:
    """Wraps `answer`: waits for a turn, then reads the index if needed: versions and sections are in it."""

    @functools.wraps(answer)
    async def answered(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            async with turns:
                if searcher.index is None:
                    await searcher.check()
                return await answer(*args, **kwargs)
        except UnavailableError as error:
            raise ToolError(shortened(str(error)), log_level=logging.WARNING) from error

    return answered


def _reads(title: str) -> ToolAnnotations:
    return ToolAnnotations(
        title=title, read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )


def _version_text(searcher: SearchService) -> str:
    known = searcher.versions
    return f"Docs version, one of {listed(known)}; default {known[0]}" if known else "Docs version"


def _section_text(searcher: SearchService) -> str:
    # Only safe names are known (see docs.names): models trust what tools say of themselves.
    known = f": {listed(searcher.groups)}" if searcher.groups else ""
    return f"Only one part of the docs{known}"
