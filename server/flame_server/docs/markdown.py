"""Block structure of MyST markdown, over markdown-it-py's tokens."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

# Inline rules run only where a heading's plain text is needed: the blocks alone take a quarter of the time.
_BLOCKS = MarkdownIt("commonmark").disable(["inline", "text_join"])
_INLINE = MarkdownIt("commonmark")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\U000e0000-\U000e007f]"
)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
_DIRECTIVE = re.compile(r"^\{([\w:.-]+)\}\s*(.*)$")
_OPTION = re.compile(r"^:([\w-]+):\s*(.*)$")
_FENCE_OPENING = re.compile(r"^[\s>]*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}(?=[^`]*$)|~{3,})")


@dataclass(frozen=True)
class Heading:
    """One heading of a page: its level (1-6), verbatim source, plain text and lines [start, end)."""

    level: int
    source: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Directive:
    """A MyST directive: ```` ```{name} argument ```` with `:option:` lines and a body."""

    name: str
    argument: str
    options: dict[str, str]
    body: str


def clean(text: str) -> str:
    """Text with one kind of newline; without front matter, control, zero-width and direction characters."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return _FRONT_MATTER.sub("", _INVISIBLE.sub("", unified))


def parse(text: str) -> tuple[list[Token], list[tuple[int, int]]]:
    """The block tokens of `text`, and the line ranges [start, end) of its link definitions."""
    env: dict[str, Any] = {}
    tokens = _BLOCKS.parse(text, env)
    definitions = [*env.get("references", {}).values(), *env.get("duplicate_refs", [])]
    spans = [tuple(entry["map"]) for entry in definitions]
    return tokens, sorted(spans)


def headings(text: str) -> list[Heading]:
    """The headings that cut a page: those at its top level, outside lists, quotes and fences."""
    tokens, _ = parse(text)
    found = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            start, end = opening.map
            source = inline.content.strip()
            found.append(Heading(int(opening.tag[1:]), source, plain_text(source), start, end))
    return found


def plain_text(inline_source: str) -> str:
    """What a reader sees of inline markdown, without its marks."""
    return " ".join("".join(_visible(_INLINE.parseInline(inline_source))).split())


def _visible(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in {"softbreak", "hardbreak"}:
            yield " "
        elif token.children:
            yield from _visible(token.children)
        elif token.type in {"text", "code_inline", "text_special", "image"}:
            yield token.content


def directive(info: str, content: str) -> Directive | None:
    """The directive of a fence with this info string and content; None for ordinary code."""
    match = _DIRECTIVE.match(info.strip())
    if match is None:
        return None
    lines = content.split("\n")
    options: dict[str, str] = {}
    while lines and (option := _OPTION.match(lines[0].strip())):
        options[option[1]] = option[2].strip()
        lines.pop(0)
    return Directive(match[1], match[2].strip(), options, "\n".join(lines).strip("\n"))


def fence(content: str, language: str = "") -> str:
    """`content` as a closed fence whose marker is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`{3,}", content)), default=2)
    marker = "`" * (longest + 1)
    return f"{marker}{language}\n{content.rstrip(chr(10))}\n{marker}"


def split_blocks(text: str) -> list[str]:
    """`text` cut at blank lines outside fences, the blank lines dropped."""
    blocks: list[list[str]] = [[]]
    marker = ""
    for line in text.split("\n"):
        if marker:
            blocks[-1].append(line)
            if _closes(line, marker):
                marker = ""
        elif line.strip():
            opening = _FENCE_OPENING.match(line)
            marker = opening[1] if opening else ""
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return ["\n".join(block) for block in blocks if block]


def has_fence(block: str) -> bool:
    """Whether a block from `split_blocks` holds a fence."""
    return any(_FENCE_OPENING.match(line) for line in block.split("\n"))


def fences_are_closed(text: str) -> bool:
    """Whether every fence that opens in `text` also closes there."""
    marker = ""
    for line in text.split("\n"):
        if marker:
            marker = "" if _closes(line, marker) else marker
        elif opening := _FENCE_OPENING.match(line):
            marker = opening[1]
    return not marker


def _closes(line: str, marker: str) -> bool:
    bare = line.strip(" \t>")
    return bare.startswith(marker) and not bare.strip(marker[0])
