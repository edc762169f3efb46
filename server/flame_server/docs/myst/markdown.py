"""The block structure of MyST markdown: headings, directives and fences, from markdown-it-py's tokens."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin

from flame_server.docs.myst.inline import rewrite

# Inline rules run only for the plain text of headings: parsing blocks alone takes a quarter of the time.
_BLOCKS = (
    MarkdownIt("commonmark").use(colon_fence_plugin).use(myst_block_plugin).disable(["inline", "text_join"])
)
_INLINE = MarkdownIt("commonmark")
# Like the site of the Flame docs: typographic quotes and dashes are applied before anchors are made.
_TYPESET = MarkdownIt("commonmark", {"typographer": True}).enable(["replacements", "smartquotes"])
# Tokens that may hold a directive.
FENCES = frozenset({"fence", "colon_fence"})
# Control characters and Unicode's default ignorable characters: readers do not see them, and they have been
# used to hide whole texts. Only the emoji variation selector is kept.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Markup that browsers do not show; when unclosed, to the end of the block.
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<![A-Za-z].*?(?:>|\Z)", re.DOTALL
)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)
_DIRECTIVE = re.compile(r"^\{([\w:.-]+)\}\s*(.*)$")
_OPTION = re.compile(r"^:([\w-]+):\s*(.*)$")
_MARKED_OPTION = re.compile(r"^([\w-]+):\s*(.*)$")
_LONGEST_OPENING = 200
_LANGUAGE = re.compile(r"[\w+#.,:={}-]{1,30}")
_FENCE_OPENING = re.compile(r"^[\s>]*(?:(?:[-*+]|\d+[.)])\s[\s>]*)*(`{3,}(?=[^`]*$)|~{3,})")


@dataclass(frozen=True)
class Structure:
    """The blocks of a page.

    Attributes:
        tokens: markdown-it's block tokens.
        definitions: Lines [start, end) of the link definitions.
        references: Their destinations by normalised label.
    """

    tokens: list[Token]
    definitions: list[tuple[int, int]]
    references: dict[str, str]


@dataclass(frozen=True)
class Heading:
    """A heading of a page.

    Attributes:
        level: 1 to 6.
        source: Its source, verbatim.
        text: Its text as a reader sees it.
        typeset: The same with the quotes and dashes of the site, from which anchors are made.
        start: Its first line.
        end: The line after it.
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
    """The text with uniform newlines, and without front matter and invisible characters."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return _FRONT_MATTER.sub("", _INVISIBLE.sub("", unified))


def without_unseen(html: str) -> str:
    """HTML without comments, declarations and other invisible markup."""
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
    """The headings at the top level of a page, outside lists, quotes and fences. Sections begin there."""
    for opening, inline in pairwise(structure.tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            start, end = opening.map
            source = inline.content.strip()
            yield Heading(int(opening.tag[1:]), source, *inline_texts(source, structure), start, end)


def inline_texts(source: str, structure: Structure) -> tuple[str, str]:
    """The plain text of inline MyST: as written, and with the quotes and dashes of the site."""
    plain = rewrite(source, lambda _: None, structure.references)
    return plain_text(plain), _text_of(_TYPESET.parseInline(plain))


def plain_text(inline_source: str) -> str:
    """The plain text of inline markdown."""
    return _text_of(_INLINE.parseInline(inline_source))


def _text_of(tokens: list[Token]) -> str:
    # Entities have become characters by now, so invisible ones are removed again.
    return " ".join(_INVISIBLE.sub("", "".join(_visible(tokens))).split())


def _visible(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "image":
            continue  # nobody sees the alternative text of an image that is shown
        if token.type in {"softbreak", "hardbreak"}:
            yield " "
        elif token.children:
            yield from _visible(token.children)
        elif token.type in {"text", "code_inline", "text_special"}:
            yield token.content


def directive(info: str, content: str) -> Directive | None:
    """The directive in a fence with this info string and content; None for ordinary code."""
    match = _DIRECTIVE.match(info.strip())
    if match is None:
        return None
    lines = content.split("\n")
    options: dict[str, str] = {}
    marked = lines[0].strip() == "---" and "---" in (line.strip() for line in lines[1:])
    body = int(marked)
    pattern = _MARKED_OPTION if marked else _OPTION
    while body < len(lines) and (option := pattern.match(lines[body].strip())):
        options[option[1]] = option[2].strip()
        body += 1
    if marked and lines[body].strip() == "---":
        body += 1
    return Directive(match[1], match[2].strip(), options, "\n".join(lines[body:]).strip("\n"))


def fence(content: str, language: str = "") -> str:
    """`content` in a closed fence; its marker is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`{3,}", content)), default=2)
    marker = "`" * (longest + 1)
    # No reader sees the language, and a backtick in it would prevent the line from opening a fence.
    named = language if _LANGUAGE.fullmatch(language) else ""
    return f"{marker}{named}\n{content.rstrip(chr(10))}\n{marker}"


def split_blocks(text: str) -> list[str]:
    """Cuts `text` at blank lines outside fences, and drops the blank lines."""
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
    """Whether a block from `split_blocks` contains a fence."""
    return any(_FENCE_OPENING.match(line) for line in block.split("\n"))


@dataclass(frozen=True)
class OpenFence:
    """The line that opened a fence, and the line that closes it."""

    line: str
    closing: str


def open_fence(text: str, before: OpenFence | None = None) -> OpenFence | None:
    """The fence that is open at the end of `text`, if any; `before` is the one open at its beginning."""
    fence = before
    for line in text.split("\n"):
        if fence:
            fence = None if _closes(line, fence.closing.strip(" \t>")) else fence
        elif opening := _FENCE_OPENING.match(line):
            # Lines after a list marker are indented by its width; quote markers are repeated.
            closing = re.sub(r"[^>\s]", " ", line[: opening.start(1)]) + opening[1]
            # A hostile opening line would be repeated in each part of the fence.
            short = line if len(line) <= _LONGEST_OPENING else closing
            fence = OpenFence(short, closing)
    return fence


def excerpt(text: str, before: OpenFence | None = None) -> tuple[str, OpenFence | None]:
    """A part of a longer text, with the fences at its ends opened and closed; and the fence open at its end.

    Args:
        text: The part.
        before: The fence that is open where it begins.
    """
    after = open_fence(text, before)
    opening = f"{before.line}\n" if before else ""
    closing = f"\n{after.closing}" if after else ""
    return opening + text.strip("\n") + closing, after


def with_closed_fences(text: str) -> str:
    """`text`, with a closing line if a fence is open at its end."""
    fence = open_fence(text)
    return f"{text}\n{fence.closing}" if fence else text


def fences_are_closed(text: str) -> bool:
    """Whether every fence in `text` is closed."""
    return open_fence(text) is None


def _closes(line: str, marker: str) -> bool:
    bare = line.strip(" \t>")
    return bare.startswith(marker) and not bare.strip(marker[0])
