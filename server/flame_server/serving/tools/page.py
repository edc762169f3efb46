"""The tool `get_flame_page`: a whole page, or one section of it."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, Field

from flame_server.docs.myst.markdown import excerpt
from flame_server.docs.names import bounded
from flame_server.index.files import StoredChunk
from flame_server.search.pages import PageEntry, as_markdown, headings_above, requested_page, section_chunks
from flame_server.search.results import NOTE
from flame_server.search.service import SearchService
from flame_server.serving.tools.arguments import MAX_PATH_CHARS, check_known, checked_tokens, closest, mistake
from flame_server.serving.tools.budget import Content, Count, Place, fitted, most_names, shortest
from flame_server.serving.tools.cursors import Cursor, foreign_cursor, key_of, read_cursor
from flame_server.serving.tools.worker import in_worker
from flame_server.settings import Settings
from flame_server.text.wordpiece import as_sent

# Of a resource, which has no budget: ten times the longest page of Flame.
_MOST_CHARS = 400_000
_MOST_TITLES = 40
# The tokens of a blank line between two texts, as sent.
_BETWEEN = 4


class Page(BaseModel):
    """A page of the docs, or a part of it."""

    note: Annotated[str, Field(description="What the texts below are")] = NOTE
    title: str
    url: Annotated[str, Field(description="Link to the page or section; empty if it has none")]
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
    chosen = await _chosen(searcher, path, version, section)
    about = searcher.about(chosen.version)
    first = chosen.chunks[0]
    key = key_of("page", first.source_path, chosen.version, chosen.url, section, about["generation"])
    if place:
        place.check(key)
    start = Place(place.number, place.at) if place else Place(0, 0)
    return await in_worker(partial(_part, chosen, key, start, budget, searcher.count_tokens))


@dataclass(frozen=True)
class _Chosen:
    """The chunks that a call asks for, and the names of the page or section that they are."""

    chunks: Sequence[StoredChunk]
    version: str
    title: str
    url: str

    def page(self, content: str, following: Cursor | None = None) -> Page:
        return Page(
            title=self.title,
            url=self.url,
            source_path=self.chunks[0].source_path,
            version=self.version,
            content=content,
            truncated=following is not None,
            next_cursor=str(following) if following else None,
        )


def _part(chosen: _Chosen, key: str, start: Place, budget: int, count: Count) -> Page:
    """The part of a page that fits into the budget. Takes some milliseconds, so it runs in a thread."""
    blocks = list(zip(headings_above(chosen.chunks), chosen.chunks, strict=True))
    if start.number >= len(blocks):
        raise foreign_cursor()
    contents = list(_contents(blocks[start.number :], budget, count))
    if start.at >= len(contents[0].text):
        raise foreign_cursor()
    named = shortest(_named(chosen), most_names(budget), count)

    def made(kept: list[str], stopped: Place | None) -> Page:
        number = start.number + (stopped.number if stopped else len(kept))
        following = Cursor(key, number, stopped.at if stopped else 0) if number < len(blocks) else None
        content = "\n\n".join(kept)
        return named.model_copy(
            update={
                "content": content,
                "truncated": following is not None,
                "next_cursor": str(following) if following else None,
            }
        )

    return fitted(contents, budget, count, start.at, made)


def _contents(blocks: Sequence[tuple[str, StoredChunk]], budget: int, count: Count) -> Iterator[Content]:
    """The leading texts of a page, more than fit into the budget; the counts of chunks are stored."""
    left = budget
    for above, chunk in blocks:
        tokens = chunk.tokens + (count(as_sent(above)) + _BETWEEN if above else 0)
        yield Content(f"{above}\n\n{chunk.content}" if above else chunk.content, tokens, _BETWEEN)
        # At least one, so that no chunk counts for nothing, whatever an index in Qdrant says.
        left -= max(tokens, 1)
        if left < 0:
            return


def _named(chosen: _Chosen) -> Iterator[Page]:
    """The page without its content, each time with shorter names."""
    page = chosen.page("")
    yield page
    yield page.model_copy(update={"title": bounded(page.title, 60)})
    yield page.model_copy(update={"title": bounded(page.title, 30), "url": page.url.partition("#")[0]})
    yield page.model_copy(update={"title": "", "url": ""})


async def whole_page(
    searcher: SearchService, path: str, version: str | None = None, section: str | None = None
) -> Page:
    """A whole page, or one whole section of it; after `_MOST_CHARS` characters it tells how to read on.

    Raises:
        ToolError: There is no such page or section; the text suggests similar ones.
    """
    chosen = await _chosen(searcher, path, version, section)
    return await in_worker(partial(_whole, chosen))


def _whole(chosen: _Chosen) -> Page:
    content = as_markdown(chosen.chunks)
    if len(content) > _MOST_CHARS:
        content = (
            excerpt(content[:_MOST_CHARS])[0] + "\n\n(This page is longer: read it with get_flame_page.)"
        )
    return chosen.page(content)


async def _chosen(searcher: SearchService, path: str, version: str | None, section: str | None) -> _Chosen:
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
    return await in_worker(partial(_of_section, chunks, version, section or wanted.anchor))


def _of_section(chunks: Sequence[StoredChunk], version: str, section: str | None) -> _Chosen:
    """The page, or one section of it.

    Raises:
        ToolError: It has no such section.
    """
    if not section:
        first = chunks[0]
        return _Chosen(chunks, version, first.breadcrumb[0], first.url.split("#", maxsplit=1)[0])
    part = section_chunks(chunks, section)
    if not part:
        titles = dict.fromkeys(bounded(chunk.title, 60) for chunk in chunks)
        where = f"{bounded(chunks[0].source_path, 80)} has no section {section[:80]!r}"
        raise mistake(f"{where}: give one of {'; '.join(islice(titles, _MOST_TITLES))}")
    return _Chosen(part, version, part[0].title, part[0].url)


async def _chunks(searcher: SearchService, path: str, version: str, asked: str) -> Sequence[StoredChunk]:
    if "://" in asked and (exact := _of_url(await searcher.pages(version), asked)):
        return await searcher.page(exact, version)
    found = await searcher.page(path, version)
    if found:
        return found
    known = await searcher.pages(version)
    same = await in_worker(partial(_same_address, path, known, asked))
    return await searcher.page(same, version)


def _of_url(known: Sequence[PageEntry], asked: str) -> str | None:
    """The page with exactly this URL: of several sources, the paths in URLs may be those of other pages."""
    url = asked.strip().partition("#")[0]
    return next((entry.path for entry in known if entry.url == url), None)


def _same_address(path: str, known: Sequence[PageEntry], asked: str) -> str:
    """The page whose address stands for that path.

    Raises:
        ToolError: There is none; the text suggests similar ones.
    """
    # In an index of several sources, paths begin with the name of the source, and addresses do not.
    # Looked for before addresses are taken apart, which takes a hundred times as long.
    name = f"/{quote(posixpath.basename(path).removesuffix('.md'))}."
    same = next(
        (entry.path for entry in known if name in entry.url and requested_page(entry.url).path == path), None
    )
    if same is None:
        raise mistake(f"there is no page {asked[:80]!r}: {closest(path, [entry.path for entry in known])}")
    return same
