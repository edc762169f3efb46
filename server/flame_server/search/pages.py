"""Pages of the docs, put together from the chunks of an index."""

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from flame_server.docs.anchors import make_id
from flame_server.docs.sections import Chunk

_Chunk = TypeVar("_Chunk", bound=Chunk)
_VERSION = re.compile(r"(?:latest|main|\d[\w.+-]*)", re.IGNORECASE)


@dataclass(frozen=True)
class PageEntry:
    """A page of the docs; `group` is the part of the docs that it belongs to."""

    path: str
    title: str
    group: str
    url: str


@dataclass(frozen=True)
class RequestedPage:
    """The page that a caller asks for, perhaps with a version and an anchor."""

    path: str
    version: str | None
    anchor: str | None


def page_entries(chunks: Iterable[Chunk]) -> list[PageEntry]:
    """The pages that these chunks belong to, in their order."""
    found: dict[str, PageEntry] = {}
    for chunk in chunks:
        if chunk.source_path not in found:
            found[chunk.source_path] = page_entry(chunk)
    return list(found.values())


def page_entry(chunk: Chunk) -> PageEntry:
    """The page that a chunk belongs to."""
    url = chunk.url.split("#", maxsplit=1)[0]
    return PageEntry(chunk.source_path, chunk.breadcrumb[0], chunk.group, url)


def requested_page(text: str) -> RequestedPage:
    """The page that a path, a URL of the docs site or a `flame://` URI stands for."""
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        parts = urlsplit("")
    path, version = unquote(parts.path), None
    if parts.scheme == "flame":
        version, path = parts.netloc, path.lstrip("/")
    elif parts.scheme:
        first, _, rest = path.lstrip("/").partition("/")
        version, path = (first, rest) if _VERSION.fullmatch(first) else (None, path)
    path = posixpath.normpath(path.lstrip("/")).removeprefix("doc/")
    for ending in (".html", ".md"):
        path = path.removesuffix(ending)
    return RequestedPage(f"{path}.md", version or None, unquote(parts.fragment) or None)


def section_chunks(chunks: Sequence[_Chunk], section: str) -> Sequence[_Chunk]:
    """The chunks of one section of a page and of its subsections; none when there is no such section.

    Args:
        chunks: All chunks of the page.
        section: Its anchor, or its heading in any case.
    """
    name = section.strip().lstrip("#").strip()
    wanted = {name.lower(), make_id(name)}
    top = next(
        (
            chunk
            for chunk in chunks
            if wanted & {chunk.anchor, chunk.title.lower(), chunk.heading.lower()} - {""}
        ),
        None,
    )
    if top is None:
        return []
    depth = len(top.breadcrumb)
    return [chunk for chunk in chunks if chunk.breadcrumb[:depth] == top.breadcrumb]


def headings_above(chunks: Sequence[Chunk]) -> list[str]:
    """For each chunk of a page, the markdown of the headings right before its content; maybe empty."""
    found: list[str] = []
    above: tuple[str, ...] = ()
    for chunk in chunks:
        new = range(0)
        if chunk.part == 0:
            shared = _shared(above, chunk.breadcrumb)
            # A heading without text of its own has no chunk, so it is added here.
            new = range(min(shared, len(chunk.breadcrumb) - 1), len(chunk.breadcrumb))
            above = chunk.breadcrumb
        found.append("\n\n".join(f"{'#' * min(level + 1, 6)} {chunk.breadcrumb[level]}" for level in new))
    return found


def as_markdown(chunks: Sequence[Chunk]) -> str:
    """The markdown of chunks of a page, in their order and with their headings."""
    blocks = zip(headings_above(chunks), chunks, strict=True)
    return "\n\n".join(f"{above}\n\n{chunk.content}" if above else chunk.content for above, chunk in blocks)


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """How many leading headings two chunks have in common."""
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return number
    return min(len(first), len(second))
