"""The tool `get_flame_page`: a whole page, or one section of it."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from flame_server.docs.sections import Chunk
from flame_server.search.pages import as_markdown, requested_page, section_chunks
from flame_server.search.service import SearchService
from flame_server.serving.tools.arguments import MAX_PATH_CHARS, check_known, checked_tokens, closest, mistake
from flame_server.serving.tools.budget import take
from flame_server.serving.tools.cursors import Cursor, foreign_cursor, key_of, read_cursor
from flame_server.settings import Settings


class Page(BaseModel):
    """A page of the docs, or a part of it."""

    title: str
    url: Annotated[str, Field(description="Link to the page or section on docs.flame-engine.org")]
    source_path: Annotated[str, Field(description="Markdown file, relative to the docs root")]
    version: str
    content: Annotated[str, Field(description="Markdown")]
    truncated: Annotated[bool, Field(description="Whether max_tokens cut something off")] = False
    next_cursor: Annotated[str | None, Field(description="Give it as cursor for what comes next")] = None


async def page(  # noqa: PLR0913, PLR0917 - the tool's arguments
    searcher: SearchService,
    settings: Settings,
    path: str,
    version: str | None,
    section: str | None,
    max_tokens: int | None,
    cursor: str | None,
) -> Page:
    """Answers one call.

    Raises:
        ToolError: What is wrong with the arguments.
        UnavailableError: The index cannot be reached now.
    """
    budget, place = checked_tokens(max_tokens, settings), read_cursor(cursor)
    whole = await whole_page(searcher, path, version, section)
    about = searcher.about(whole.version)
    key = key_of("page", whole.source_path, whole.version, whole.url, section, about["generation"])
    start = 0
    if place:
        place.check(key)
        start = place.at
        if start >= len(whole.content):
            raise foreign_cursor()
    part = take(whole.content, start, budget, searcher.count_tokens)
    following = None if part.end is None else str(Cursor(key, 0, part.end))
    return whole.model_copy(
        update={"content": part.text, "truncated": following is not None, "next_cursor": following}
    )


async def whole_page(
    searcher: SearchService, path: str, version: str | None = None, section: str | None = None
) -> Page:
    """A whole page, or one whole section of it.

    Raises:
        ToolError: There is no such page or section; the text suggests similar ones.
    """
    if not path.strip():
        raise mistake("path is empty: give one that list_flame_docs names, e.g. flame/camera.md")
    if len(path) > MAX_PATH_CHARS or len(section or "") > MAX_PATH_CHARS:
        raise mistake(f"path and section may have {MAX_PATH_CHARS} characters")
    wanted = requested_page(path)
    # The version in a link may be unknown to this server; a version given as an argument must be known.
    linked = wanted.version if wanted.version in searcher.versions or path.startswith("flame:") else None
    version = version or linked
    check_known("version", version, searcher.versions)
    version = version or searcher.versions[0]
    chunks = await _chunks(searcher, wanted.path, version, path)
    section = section or wanted.anchor
    if section:
        part = section_chunks(chunks, section)
        if not part:
            titles = list(dict.fromkeys(chunk.title for chunk in chunks))
            where = f"{chunks[0].source_path} has no section {section[:80]!r}"
            raise mistake(f"{where}: give one of {'; '.join(titles[:40])}")
        chunks = part
    first = chunks[0]
    return Page(
        title=first.title if section else first.breadcrumb[0],
        url=first.url if section else first.url.split("#", maxsplit=1)[0],
        source_path=first.source_path,
        version=version,
        content=as_markdown(chunks),
    )


async def _chunks(searcher: SearchService, path: str, version: str, asked: str) -> Sequence[Chunk]:
    found = await searcher.page(path, version)
    if found:
        return found
    known = await searcher.pages(version)
    # In an index of several sources, paths begin with the name of the source, and addresses do not.
    same = next((entry.path for entry in known if requested_page(entry.url).path == path), None)
    if same is None:
        paths = [entry.path for entry in known]
        raise mistake(f"there is no page {asked[:80]!r}: {closest(path, paths)}")
    return await searcher.page(same, version)
