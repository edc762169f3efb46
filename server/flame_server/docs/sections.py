"""Cuts pages into sections, and these into chunks (which are returned) and passages (which are embedded)."""

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from flame_server.docs.expansion import expected_questions
from flame_server.docs.folder import Page
from flame_server.docs.myst.directives import Context, DartdocLookup, render
from flame_server.docs.myst.markdown import excerpt, has_fence, split_blocks, without_unseen
from flame_server.docs.names import bounded, group_of
from flame_server.docs.site import Site

# Measured: chunks of 2,500 characters and passages of 500 scored best on the Flame docs.
CHUNK_CHARS = 2_500
PASSAGE_CHARS = 500
# A fence stays whole up to this length, which no fence of the Flame docs has. It bounds all chunks.
MAX_FENCE_CHARS = 8_000
_LONGEST_OPENING = 200
_ADDRESS = re.compile(r"(?<=\])\(https?://[^()\s]*(?:\([^()\s]*\)[^()\s]*)?\)")


@dataclass(frozen=True)
class Chunk:
    """A section, or one part of a long one.

    Attributes:
        id: Unique in an index: version, path, anchor, and the part from the second on.
        title: The heading as a reader sees it.
        heading: The heading as in the source.
        breadcrumb: From the page's title down to this heading.
        anchor: The section's id on its page; empty for text above the first heading.
        source_path: Relative to the docs root, e.g. `flame/camera.md`.
        version: Of the docs, as in the URL.
        group: The first folder of the path, which the `section` argument of the tools selects.
        asks: Questions that it answers, as far as they are known; see `expansion`.
    """

    id: str
    title: str
    heading: str
    breadcrumb: tuple[str, ...]
    anchor: str
    url: str
    source_path: str
    version: str
    group: str
    part: int
    content: str
    asks: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A heading with the text below it, up to the next heading; see `Chunk`."""

    heading: str
    breadcrumb: tuple[str, ...]
    anchor: str
    body: str


def sections_of(page: Page, site: Site, dartdoc: DartdocLookup) -> Iterator[Section]:
    """The sections of a markdown page in reading order, the text above its first heading first."""
    outline = site.outline(page)
    context = Context(dartdoc, partial(site.resolve, page=page.path), ChainMap(outline.references))
    lines = page.text.split("\n")
    starts = [heading.start for heading, _ in outline.headings]
    yield Section(
        "", (bounded(outline.title),), "", render("\n".join(lines[: starts[0] if starts else None]), context)
    )
    yield from with_breadcrumbs(
        outline.title,
        (
            Cut(
                heading.level,
                heading.text,
                without_unseen(heading.source).strip(),
                anchor,
                render("\n".join(lines[heading.end : end]), context),
            )
            for (heading, anchor), end in zip(outline.headings, [*starts[1:], len(lines)], strict=False)
        ),
    )


@dataclass(frozen=True)
class Cut:
    """A heading with its level (1 to 6), text, source and anchor, and the markdown below it."""

    level: int
    text: str
    source: str
    anchor: str
    body: str


def with_breadcrumbs(title: str, cuts: Iterable[Cut]) -> Iterator[Section]:
    """The sections of a page with this title, each with the headings above it as its breadcrumb."""
    title = bounded(title)
    trail: list[tuple[int, str]] = []
    for cut in cuts:
        trail = [entry for entry in trail if entry[0] < cut.level]
        trail.append((cut.level, bounded(cut.text or cut.source or title)))
        names = tuple(name for _, name in trail)
        breadcrumb = names if names[0] == title else (title, *names)
        yield Section(bounded(cut.source), breadcrumb, cut.anchor, cut.body)


def chunks_of(path: str, sections: Iterable[Section], site: Site) -> Iterator[Chunk]:
    """The chunks of the page at `path`; a heading without text gives none."""
    group = group_of(path)
    for section in sections:
        anchor = f"#{section.anchor}" if section.anchor else ""
        for part, content in enumerate(split_chunks(section.body)):
            name = f"{path}{anchor}" + (f"~{part + 1}" if part else "")
            yield Chunk(
                id=f"{site.version}/{name}",
                title=section.breadcrumb[-1],
                heading=section.heading,
                breadcrumb=section.breadcrumb,
                anchor=section.anchor,
                url=site.address(path, section.anchor),
                source_path=path,
                version=site.version,
                group=group,
                part=part,
                content=content,
                asks=tuple(expected_questions(name)),
            )


def split_chunks(body: str) -> list[str]:
    """A section's body in parts of at most `CHUNK_CHARS` characters, cut at blank lines.

    A fence stays whole up to `MAX_FENCE_CHARS`; a longer one is cut between lines, and each part is a fence
    of its own. A single paragraph that is too long is cut between words.
    """
    return ["\n\n".join(group) for group in _packed(_bounded_blocks(body, CHUNK_CHARS), CHUNK_CHARS)]


def title_line(chunk: Chunk) -> str:
    """The breadcrumb of a chunk in one line."""
    return " > ".join(chunk.breadcrumb)


def searched_text(content: str) -> str:
    """The text of a chunk for search: without the URLs of links, which say nothing about the content."""
    return _ADDRESS.sub("", content)


def passages(chunk: Chunk) -> list[str]:
    """The passages of a chunk: its title line with about `PASSAGE_CHARS` characters of its text each."""
    title = title_line(chunk)
    pieces = [
        piece
        for block in split_blocks(searched_text(chunk.content))
        for piece in (_cut(block, PASSAGE_CHARS) if len(block) > PASSAGE_CHARS * 3 // 2 else [block])
    ]
    return [f"{title}\n" + "\n".join(group) for group in _packed(pieces, PASSAGE_CHARS)]


def _bounded_blocks(body: str, limit: int) -> Iterator[str]:
    for block in split_blocks(body):
        if has_fence(block):
            yield from [block] if len(block) <= _fence_limit(block) else _cut_fence(block)
        elif len(block) <= limit:
            yield block
        else:
            yield from _cut(block, limit)


def _fence_limit(block: str) -> int:
    """How many characters a block with a fence may have: at most 16 kB, whatever its script."""
    return MAX_FENCE_CHARS if block.isascii() else MAX_FENCE_CHARS // 2


def _cut_fence(block: str) -> Iterator[str]:
    """Cuts a block with a long fence between lines, else within one; opens the fence again in each part."""
    start, fence = 0, None
    # The lines that close and open a fence again are as long as those of the block at most.
    most = _fence_limit(block) - 2 * _LONGEST_OPENING
    while start < len(block):
        end = len(block)
        if end - start > most:
            line = block.rfind("\n", start + 1, start + most)
            end = line + 1 if line >= 0 else start + most
        part, fence = excerpt(block[start:end], fence)
        if part.strip():
            yield part
        start = end


def _packed(blocks: Iterator[str] | list[str], limit: int) -> Iterator[list[str]]:
    """Groups consecutive blocks of at most `limit` characters together."""
    group: list[str] = []
    size = 0
    for block in blocks:
        if group and size + len(block) > limit:
            yield group
            group, size = [], 0
        group.append(block)
        size += len(block) + 2
    if group:
        yield group


def _cut(block: str, limit: int) -> Iterator[str]:
    """Cuts a long block into pieces of at most `limit` characters, at line ends or else at blanks."""
    rest = block
    while len(rest) > limit:
        at = max(rest.rfind("\n", 1, limit), 0) or max(rest.rfind(" ", 1, limit), 0) or limit
        yield rest[:at]
        rest = rest[at:].lstrip("\n ") if rest[at : at + 1] == " " else rest[at:].removeprefix("\n")
    if rest.strip():
        yield rest
