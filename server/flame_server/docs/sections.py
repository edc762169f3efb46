"""Pages cut into sections, sections into chunks (what is returned) and passages (what is embedded)."""

from collections.abc import Iterator
from dataclasses import dataclass

from flame_server.docs.anchors import PageAnchors
from flame_server.docs.directives import DartdocLookup, render
from flame_server.docs.markdown import has_fence, headings, plain_text, split_blocks
from flame_server.docs.source import Page

# reference: chunks of 2,500 characters and passages of 500 scored best on the Flame docs.
CHUNK_CHARS = 2_500
PASSAGE_CHARS = 500
SITE = "https://docs.flame-engine.org"


@dataclass(frozen=True)
class Chunk:
    """A section, or one part of a long one.

    Attributes:
        id: Unique in an index: version, path, anchor, and the part from the second on.
        title: The heading as a reader sees it.
        heading: The heading as the source has it.
        breadcrumb: From the page's title down to this heading.
        anchor: The section's id on its page; empty for text above the first heading.
        source_path: Relative to the docs root, e.g. `flame/camera.md`.
        group: The first folder of the path, what the `section` argument of the tool selects.
    """

    id: str
    title: str
    heading: str
    breadcrumb: tuple[str, ...]
    anchor: str
    url: str
    source_path: str
    group: str
    part: int
    content: str


def chunks_of(page: Page, dartdoc: DartdocLookup, version: str) -> Iterator[Chunk]:
    """The chunks of a page in reading order; a heading with nothing below it gives none."""
    group = page.path.split("/")[0] if "/" in page.path else "general"
    base = f"{SITE}/{version}/{page.path.removesuffix('.md')}.html"
    for section in _sections(page, dartdoc):
        anchor = f"#{section.anchor}" if section.anchor else ""
        for part, content in enumerate(split_chunks(section.body)):
            yield Chunk(
                id=f"{version}/{page.path}{anchor}" + (f"~{part + 1}" if part else ""),
                title=section.breadcrumb[-1],
                heading=section.heading,
                breadcrumb=section.breadcrumb,
                anchor=section.anchor,
                url=base + anchor,
                source_path=page.path,
                group=group,
                part=part,
                content=content,
            )


@dataclass(frozen=True)
class _Section:
    heading: str
    breadcrumb: tuple[str, ...]
    anchor: str
    body: str


def _sections(page: Page, dartdoc: DartdocLookup) -> Iterator[_Section]:
    found = headings(page.text)
    lines = page.text.split("\n")
    page_title = next((h.text for h in found if h.level == 1 and h.text), "") or _title_of(page.path)
    preamble = lines[: found[0].start] if found else lines
    yield _Section("", (page_title,), "", render("\n".join(preamble), dartdoc))
    anchors = PageAnchors()
    trail: list[tuple[int, str]] = []
    for number, heading in enumerate(found):
        end = found[number + 1].start if number + 1 < len(found) else len(lines)
        trail = [entry for entry in trail if entry[0] < heading.level]
        trail.append((heading.level, heading.text or heading.source))
        names = tuple(name for _, name in trail)
        breadcrumb = names if names[0] == page_title else (page_title, *names)
        body = render("\n".join(lines[heading.end : end]), dartdoc)
        yield _Section(heading.source, breadcrumb, anchors.next(heading.text), body)


def _title_of(path: str) -> str:
    return plain_text(path.rsplit("/", 1)[-1].removesuffix(".md").replace("_", " ")).capitalize() or path


def split_chunks(body: str) -> list[str]:
    """A section's body in parts of at most `CHUNK_CHARS` characters, cut at blank lines.

    A fence stays whole, however long; a paragraph that is longer by itself is cut between words.
    """
    return ["\n\n".join(group) for group in _packed(_bounded_blocks(body, CHUNK_CHARS), CHUNK_CHARS)]


def passages(chunk: Chunk) -> list[str]:
    """What of a chunk is embedded: its title line with about `PASSAGE_CHARS` characters of text each."""
    title = " > ".join(chunk.breadcrumb)
    pieces = [
        piece
        for block in split_blocks(chunk.content)
        for piece in (_cut(block, PASSAGE_CHARS) if len(block) > PASSAGE_CHARS * 3 // 2 else [block])
    ]
    return [f"{title}\n" + "\n".join(group) for group in _packed(pieces, PASSAGE_CHARS)]


def _bounded_blocks(body: str, limit: int) -> Iterator[str]:
    for block in split_blocks(body):
        if len(block) <= limit or has_fence(block):
            yield block
        else:
            yield from _cut(block, limit)


def _packed(blocks: Iterator[str] | list[str], limit: int) -> Iterator[list[str]]:
    """Neighbouring blocks together while they stay within `limit` characters."""
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
    """A long block in pieces of at most `limit` characters, cut at line ends, else at blanks."""
    rest = block
    while len(rest) > limit:
        at = max(rest.rfind("\n", 1, limit), 0) or max(rest.rfind(" ", 1, limit), 0) or limit
        yield rest[:at]
        rest = rest[at:].lstrip("\n ") if rest[at : at + 1] == " " else rest[at:].removeprefix("\n")
    if rest.strip():
        yield rest
