"""Turns inline MyST into plain markdown: resolves links and roles, drops comments and tags."""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markdown_it.common.utils import normalizeReference, unescapeAll


@dataclass(frozen=True)
class Link:
    """The URL of a link, and the title of its target for links without a text of their own."""

    url: str
    title: str


# Takes a destination as written in the page. None means that it leads nowhere: only the text of the link
# stays.
Resolver = Callable[[str], Link | None]

_TOKEN = re.compile(r"\\.|`+|<!--|<[A-Za-z/!?][^<>\n]*>|!?\[|\]|\{[\w:+-]+\}(?=`)", re.DOTALL)
# Every repetition is bounded: otherwise a hostile page would take quadratic time.
_DESTINATION = re.compile(
    r"\(\s*(?:<([^<>\n]{0,1000})>|((?:[^\s()\\]|\\.|\([^\s()]{0,200}\)){0,1000}))"
    r"(?:\s+(?:\"[^\"]{0,500}\"|'[^']{0,500}'|\([^()]{0,500}\)))?\s*\)"
)
_LABEL = re.compile(r"\[((?:[^\[\]\\]|\\.){0,999})\]")
_LONGEST_LABEL = 999
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)([^<>]*)>")
_ATTRIBUTE = re.compile(r"""\b(href)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
# Tags that only format. Anything else in angle brackets may be Dart (`List<int>`) or Yarn (`<<jump>>`).
_FORMATTING = frozenset(
    """
    abbr b big br center cite dd details div dl dt em figcaption figure font hr i iframe kbd li mark ol p
    section small span strike strong sub summary sup table tbody td th thead tr u ul video source picture
    """.split()  # noqa: SIM905 - reads better than thirty quoted words
)
_LINK_ROLES = {"any", "doc", "numref", "ref"}
_CODE_ROLES = {"code", "command", "eval", "file", "literal", "math", "option", "samp"}
_NEEDS_BRACKETS = re.compile(r"[\s()]")
_LONG_FORM = re.compile(r"\s*\([^()]*\)\Z")
_ROLE_TARGET = re.compile(r"(.*?)\s*<([^<>]*)>\s*", re.DOTALL)


def rewrite(text: str, resolve: Resolver, references: Mapping[str, str]) -> str:
    """Inline markdown with absolute links and without markup for the site's builder. Code does not change.

    Args:
        text: The source of a paragraph, with all its lines.
        resolve: Resolves the destination of a link.
        references: Destinations of the page's link definitions by normalised label.
    """
    return _Rewriting(text, resolve, references).result()


@dataclass(frozen=True)
class _Opener:
    """A bracket that may open a link: its index in the output, and where it and its text begin."""

    out: int
    start: int
    inside: int
    image: bool


class _Rewriting:
    def __init__(self, text: str, resolve: Resolver, references: Mapping[str, str]) -> None:
        self._text = text
        self._resolve = resolve
        self._references = references
        self._out: list[str] = []
        self._openers: list[_Opener] = []
        self._anchors: list[tuple[int, Link | None]] = []
        self._ticks: dict[int, list[int]] | None = None

    def result(self) -> str:
        at = 0
        while token := _TOKEN.search(self._text, at):
            self._out.append(self._text[at : token.start()])
            at = self._handle(token[0], token.start())
        return "".join(self._out) + self._text[at:]

    def _handle(self, token: str, start: int) -> int:
        """Emits the replacement of the token at `start`; returns where the next token may begin."""
        end = start + len(token)
        match token[0]:
            case "`":
                end = self._code_end(len(token), end) or end
                self._out.append(self._text[start:end])
            case "<":
                end = self._comment_or_tag(token, start)
            case "{":
                end = self._role(token[1:-1], start, end)
            case "]":
                end = self._close(start)
            case "[" | "!":
                self._openers.append(_Opener(len(self._out), start, end, token[0] == "!"))
                self._out.append(token)
            case _:
                self._out.append(token)
        return end

    def _code_end(self, length: int, after: int) -> int | None:
        if self._ticks is None:
            self._ticks = {}
            for run in re.finditer(r"`+", self._text):
                self._ticks.setdefault(len(run[0]), []).append(run.start())
        runs = self._ticks.get(length, [])
        found = bisect_left(runs, after)
        return runs[found] + length if found < len(runs) else None

    def _role(self, name: str, start: int, end: int) -> int:
        opening = re.compile("`+").match(self._text, end)
        ticks = len(opening[0]) if opening else 0
        close = self._code_end(ticks, end + ticks)
        if close is None:
            self._out.append(self._text[start:end])
            return end
        content = self._text[end + ticks : close - ticks].strip()
        targeted = _ROLE_TARGET.fullmatch(content)
        words, target = (targeted[1], targeted[2]) if targeted and targeted[1] else (content, content)
        kind = name.rsplit(":", 1)[-1]
        link = self._resolve(target) if kind in _LINK_ROLES else None
        if link:
            self._out.append(f"[{words if words != target else link.title}]({link.url})")
        else:
            # The long form of an abbreviation is shown only to a mouse that rests on it.
            shown = _LONG_FORM.sub("", words) if kind == "abbr" else words
            self._out.append(self._text[end:close] if kind in _CODE_ROLES else shown)
        return close

    def _comment_or_tag(self, found: str, start: int) -> int:
        if found == "<!--":
            end = self._text.find("-->", start)
            if end < 0:
                # Unclosed: no later comment is closed either.
                self._out.append(self._text[start:])
                return len(self._text)
            return end + 3
        if found.startswith(("<!", "<?")):
            return start + len(found)
        tag = _TAG.fullmatch(found)
        name = tag[2].lower() if tag else ""
        attributes = {a[1]: a[2] or a[3] or "" for a in _ATTRIBUTE.finditer(tag[3])} if tag else {}
        if name == "a" and tag:
            self._anchor(attributes.get("href", ""), closes=bool(tag[1]))
        elif name == "img":
            # Nobody sees the alternative text of an image that is shown.
            pass
        elif name == "code":
            self._out.append("`")
        elif name not in _FORMATTING:
            self._out.append(found)
        elif name == "br":
            self._out.append(" ")
        return start + len(found)

    def _anchor(self, href: str, *, closes: bool) -> None:
        if not closes:
            self._anchors.append((len(self._out), self._resolve(href) if href else None))
            self._out.append("")
        elif self._anchors:
            place, link = self._anchors.pop()
            if link and place < len(self._out):
                self._out[place] = "["
                self._out.append(f"]({link.url})")

    def _close(self, start: int) -> int:
        opener = self._openers.pop() if self._openers else None
        found = self._target(opener.inside, start) if opener else None
        if opener is None or found is None:
            self._out.append("]")
            return start + 1
        target, end = found
        if opener.image:
            # Nobody sees the alternative text or the title of an image that is shown.
            made = f"![](<{target}>)" if _NEEDS_BRACKETS.search(target) else f"![]({target})"
        else:
            words = "".join(self._out[opener.out + 1 :])
            link = self._resolve(target)
            made = f"[{words.strip() or link.title}]({link.url})" if link else words or target
            # As in CommonMark, links cannot contain other links.
            self._openers.clear()
        self._out[opener.out :] = [made]
        return end

    def _target(self, inside: int, close: int) -> tuple[str, int] | None:
        """The destination of the brackets that close at `close`, and where the link ends."""
        if direct := _DESTINATION.match(self._text, close + 1):
            return unescapeAll(direct[1] or direct[2] or ""), direct.end()
        if not self._references or close - inside > _LONGEST_LABEL:
            return None
        label = _LABEL.match(self._text, close + 1)
        name = (label[1] if label else "") or self._text[inside:close]
        destination = self._references.get(normalizeReference(name))
        if destination is None:
            return None
        return destination, label.end() if label else close + 1
