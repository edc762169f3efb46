"""Whole pages, put together again from the chunks of an index."""

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
class Wanted:
    """What a caller's path says: the page, and perhaps a version and an anchor."""

    path: str
    version: str | None
    anchor: str | None


def entries(chunks: Iterable[Chunk]) -> list[PageEntry]:
    """The pages of chunks, in their order."""
    found: dict[str, PageEntry] = {}
    for chunk in chunks:
        if chunk.source_path not in found:
            url = chunk.url.split("#", maxsplit=1)[0]
            found[chunk.source_path] = PageEntry(chunk.source_path, chunk.breadcrumb[0], chunk.group, url)
    return list(found.values())


def wanted_page(text: str) -> Wanted:
    """The page that a caller means by a path, an address on the docs' site or a `flame://` address."""
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
    return Wanted(f"{path}.md", version or None, unquote(parts.fragment) or None)


def part_of(chunks: Sequence[_Chunk], section: str) -> Sequence[_Chunk]:
    """The chunks of one section of a page with what lies below it; none when there is no such section.

    Args:
        chunks: All of a page.
        section: Its anchor, or its heading in whatever case.
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


def as_markdown(chunks: Sequence[Chunk]) -> str:
    """Chunks of a page, in their order, with their headings."""
    blocks: list[str] = []
    above: tuple[str, ...] = ()
    for chunk in chunks:
        if chunk.part == 0:
            shared = _shared(above, chunk.breadcrumb)
            # A heading with nothing directly below it has no chunk of its own.
            new = range(min(shared, len(chunk.breadcrumb) - 1), len(chunk.breadcrumb))
            blocks += [f"{'#' * min(level + 1, 6)} {chunk.breadcrumb[level]}" for level in new]
            above = chunk.breadcrumb
        blocks.append(chunk.content)
    return "\n\n".join(blocks)


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """How many leading headings two chunks have in common."""
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return number
    return min(len(first), len(second))
