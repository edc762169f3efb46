"""Block structure of MyST markdown, over markdown-it-py's tokens."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin

from flame_server.docs.inline import rewrite

# Inline rules run only where a heading's plain text is needed: the blocks alone take a quarter of the time.
_BLOCKS = (
    MarkdownIt("commonmark").use(colon_fence_plugin).use(myst_block_plugin).disable(["inline", "text_join"])
)
_INLINE = MarkdownIt("commonmark")
# As the Flame docs' site has it: quotes are curved and dashes joined before anchors are made of headings.
_TYPESET = MarkdownIt("commonmark", {"typographer": True}).enable(["replacements", "smartquotes"])
# What may hold a directive.
FENCES = frozenset({"fence", "colon_fence"})
# Control characters, and those that Unicode calls ignorable: no reader sees them, and whole texts have been
# hidden in them. Only the one that makes a picture of a sign is left.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# What a browser shows nothing of, to the end of the block where nothing closes it.
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<![A-Za-z].*?(?:>|\Z)", re.DOTALL
)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
_DIRECTIVE = re.compile(r"^\{([\w:.-]+)\}\s*(.*)$")
_OPTION = re.compile(r"^:([\w-]+):\s*(.*)$")
_MARKED_OPTION = re.compile(r"^([\w-]+):\s*(.*)$")
_FENCE_OPENING = re.compile(r"^[\s>]*(?:(?:[-*+]|\d+[.)])\s[\s>]*)*(`{3,}(?=[^`]*$)|~{3,})")


@dataclass(frozen=True)
class Structure:
    """What a page's blocks are.

    Attributes:
        tokens: markdown-it's block tokens.
        definitions: Lines [start, end) of the link definitions.
        references: What they define: destinations by normalised label.
    """

    tokens: list[Token]
    definitions: list[tuple[int, int]]
    references: dict[str, str]


@dataclass(frozen=True)
class Heading:
    """One heading of a page.

    Attributes:
        level: 1 to 6.
        source: Verbatim.
        text: What a reader sees of it.
        typeset: The same with the quotes and dashes that the site shows, which anchors are made of.
        start: Its first line, and `end` the one behind it.
    """

    level: int
    source: str
    text: str
    typeset: str
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


def without_unseen(html: str) -> str:
    """A block of HTML without its comments, declarations and the like."""
    return _UNSEEN.sub("", html)


def parse(text: str) -> Structure:
    """The blocks of MyST markdown."""
    env: dict[str, Any] = {}
    tokens = _BLOCKS.parse(text, env)
    references = env.get("references", {})
    definitions = [*references.values(), *env.get("duplicate_refs", [])]
    return Structure(
        tokens,
        sorted(tuple(entry["map"]) for entry in definitions),
        {label: entry["href"] for label, entry in references.items()},
    )


def headings(structure: Structure) -> Iterator[Heading]:
    """The headings that cut a page: those at its top level, outside lists, quotes and fences."""
    for opening, inline in pairwise(structure.tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            start, end = opening.map
            source = inline.content.strip()
            yield Heading(int(opening.tag[1:]), source, *inline_texts(source, structure), start, end)


def inline_texts(source: str, structure: Structure) -> tuple[str, str]:
    """What a reader sees of inline MyST: as it is written, and with the site's quotes and dashes."""
    plain = rewrite(source, lambda _: None, structure.references)
    return plain_text(plain), _text_of(_TYPESET.parseInline(plain))


def plain_text(inline_source: str) -> str:
    """What a reader sees of inline markdown, without its marks."""
    return _text_of(_INLINE.parseInline(inline_source))


def _text_of(tokens: list[Token]) -> str:
    # Entities are characters only now.
    return " ".join(_INVISIBLE.sub("", "".join(_visible(tokens))).split())


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
    marked = lines[0].strip() == "---" and "---" in (line.strip() for line in lines[1:])
    if marked:
        lines.pop(0)
    while lines and (option := (_MARKED_OPTION if marked else _OPTION).match(lines[0].strip())):
        options[option[1]] = option[2].strip()
        lines.pop(0)
    if marked and lines[0].strip() == "---":
        lines.pop(0)
    return Directive(match[1], match[2].strip(), options, "\n".join(lines).strip("\n"))


def fence(content: str, language: str = "") -> str:
    """`content` as a closed fence whose marker is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`{3,}", content)), default=2)
    marker = "`" * (longest + 1)
    # With a backtick in what names the language, the line would open no fence.
    return f"{marker}{language.replace('`', '')}\n{content.rstrip(chr(10))}\n{marker}"


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


@dataclass(frozen=True)
class OpenFence:
    """The line that opened a fence, and one that closes it."""

    line: str
    closing: str


def open_fence(text: str, before: OpenFence | None = None) -> OpenFence | None:
    """The fence that is open at the end of `text`; `before` was at its beginning."""
    fence = before
    for line in text.split("\n"):
        if fence:
            fence = None if _closes(line, fence.closing.strip(" \t>")) else fence
        elif opening := _FENCE_OPENING.match(line):
            # What follows a list marker on its line is indented by the marker's width; quotes repeat theirs.
            closing = re.sub(r"[^>\s]", " ", line[: opening.start(1)]) + opening[1]
            fence = OpenFence(line, closing)
    return fence


def with_closed_fences(text: str) -> str:
    """`text`, and the line that closes a fence which is open at its end."""
    fence = open_fence(text)
    return f"{text}\n{fence.closing}" if fence else text


def fences_are_closed(text: str) -> bool:
    """Whether every fence that opens in `text` also closes there."""
    return open_fence(text) is None


def _closes(line: str, marker: str) -> bool:
    bare = line.strip(" \t>")
    return bare.startswith(marker) and not bare.strip(marker[0])
