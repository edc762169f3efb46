"""Removes from MyST markdown what raw HTML hides in it: elements that no browser shows, with all in them."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import unescape

from flame_server.docs.hidden import VOID, hides, hiding_selectors, selected_by
from flame_server.docs.myst.markdown import FENCES, directive, parse

_DEEPEST = 10
# Bounded, so that no page takes quadratic time.
_MARK = re.compile(
    r"\\[\\`<]|(?P<ticks>`+)|(?P<comment><!--)"
    r"|<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9-]{0,40})"
    # Possessive, so that a sentence such as "if a <b then" is read once and not in every way there is.
    r"(?P<rest>(?:[\s/](?:\"[^\"]{0,2000}+\"|'[^']{0,2000}+'|[^\"'<>]{1,1000}+){0,60}+)?+)>"
)
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]+)))?")
_STYLE = re.compile(r"<style\b[^<>]{0,1000}>", re.IGNORECASE)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
# What a browser reads up to the closing tag without looking for others in it.
_RAW = frozenset({"script", "style", "title", "iframe", "noembed", "noframes", "noscript"})
# Without a closing tag, these swallow the rest of the page. Other names may be Dart: `List<Object>`.
_SWALLOWING = frozenset({"script", "style", "template", "noscript"})


def without_hidden(text: str, no_markdown: Collection[str]) -> str:
    """The page without the elements that a browser does not show. Code does not change.

    Args:
        text: MyST markdown.
        no_markdown: Names of the directives whose body is not markdown.
    """
    return _Scan(text, no_markdown).result() if "<" in text else text


def attributes_of(tag: str) -> Mapping[str, str]:
    """The attributes in the inner text of a tag; the first of a name counts, as in browsers."""
    found: dict[str, str] = {}
    for attribute in _ATTRIBUTE.finditer(tag):
        value = attribute[2] or attribute[3] or attribute[4] or ""
        found.setdefault(attribute[1].lower(), unescape(value))
    return found


class _Scan:
    """One pass over a page: finds hidden elements outside code, and where they end."""

    def __init__(self, text: str, no_markdown: Collection[str]) -> None:
        self._text = text
        offsets = [0]
        for line in text.split("\n"):
            offsets.append(offsets[-1] + len(line) + 1)
        code, html = _ranges(text, no_markdown)
        self._code = [(offsets[start], offsets[end]) for start, end in code]
        self._html = [(offsets[start], offsets[end]) for start, end in html]
        self._code_starts = [start for start, _ in self._code]
        self._html_starts = [start for start, _ in self._html]
        self._ticks: dict[int, list[int]] | None = None
        self._unclosed: set[str] = set()
        self._blank_lines = [blank.start() for blank in _BLANK_LINE.finditer(text)]
        self._marks = list(self._found())
        self._selectors = hiding_selectors("\n".join(_styles(text)))
        self._ends = _ends(self._marks)

    def result(self) -> str:
        kept: list[str] = []
        at = 0
        for mark in self._marks:
            if mark.start() < at or mark["close"]:
                continue
            name, attributes = mark["name"].lower(), attributes_of(mark["rest"])
            if hides(name, attributes) or selected_by(self._selectors, name, attributes):
                end = self._end(name, mark.start(), mark.end())
                if end is None:
                    continue
                kept.append(self._text[at : mark.start()])
                at = end
        return "".join([*kept, self._text[at:]])

    def _found(self) -> Iterator[re.Match[str]]:
        """The tags outside code and comments."""
        at = 0
        while mark := _MARK.search(self._text, at):
            at = mark.end()
            if code := _around(mark.start(), self._code, self._code_starts):
                at = max(code, at)
            elif mark["ticks"]:
                if not _around(mark.start(), self._html, self._html_starts):
                    at = self._code_end(mark["ticks"], at)
            elif mark["comment"]:
                # Unclosed: what it hides goes where the page is rendered.
                at = closing + 3 if (closing := self._comment_end(at)) >= 0 else at
            elif mark["name"]:
                yield mark
                if mark["name"].lower() in _RAW and not mark["close"]:
                    closing = self._raw_end(mark["name"], at)
                    at = closing if closing >= 0 else at

    def _comment_end(self, start: int) -> int:
        closing = -1 if "-->" in self._unclosed else self._text.find("-->", start)
        if closing < 0:
            self._unclosed.add("-->")  # nor is any later one closed
        return closing

    def _raw_end(self, name: str, start: int) -> int:
        name = name.lower()
        if name in self._unclosed:
            return -1
        closing = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(self._text, start)
        if closing is None:
            self._unclosed.add(name)  # nor is any later one
            return -1
        return closing.start()

    def _code_end(self, ticks: str, after: int) -> int:
        """Where inline code ends: at the next run of as many backticks in the same block."""
        if self._ticks is None:
            self._ticks = {}
            for run in re.finditer(r"`+", self._text):
                self._ticks.setdefault(len(run[0]), []).append(run.start())
        runs = self._ticks[len(ticks)]
        found = bisect_right(runs, after - 1)
        if found == len(runs):
            return after
        blank = _BLANK_LINE.search(self._text, after, runs[found])
        return after if blank else runs[found] + len(ticks)

    def _end(self, name: str, start: int, end: int) -> int | None:
        """Where a hidden element ends that begins at `start`, with a tag up to `end`; None if it is Dart."""
        if name in VOID:
            return end
        limit = len(self._text)
        if name == "p" and (blank := bisect_left(self._blank_lines, end)) < len(self._blank_lines):
            limit = self._blank_lines[blank]
        closing = self._ends.get(start)
        if closing is not None and closing <= limit:
            return closing
        attributes = attributes_of(self._text[start + 1 + len(name) : end - 1])
        return limit if name in _SWALLOWING or hides("div", attributes) else None


def _styles(text: str) -> Iterator[str]:
    """What stands in the style elements of a page; one that isn't closed ends the search."""
    lower, at = text.lower(), 0
    while opened := _STYLE.search(text, at):
        at = lower.find("</style", opened.end())
        if at < 0:
            return
        yield text[opened.end() : at]


def _ends(marks: Sequence[re.Match[str]]) -> Mapping[int, int]:
    """Where elements end, by the places where they begin; those that no tag closes are missing."""
    ends: dict[int, int] = {}
    opened: dict[str, list[int]] = {}
    for mark in marks:
        name = mark["name"].lower()
        if not mark["close"]:
            opened.setdefault(name, []).append(mark.start())
        elif opened.get(name):
            ends[opened[name].pop()] = mark.end()
    return ends


def _around(place: int, ranges: list[tuple[int, int]], starts: list[int]) -> int:
    """The end of the range that contains the place; 0 when there is none."""
    found = bisect_right(starts, place) - 1
    return ranges[found][1] if found >= 0 and place < ranges[found][1] else 0


def _ranges(text: str, no_markdown: Collection[str]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The lines [start, end) of code, and those of raw HTML, in which backticks mean nothing."""
    code: list[tuple[int, int]] = []
    html: list[tuple[int, int]] = []
    last = text.count("\n") + 1
    _collect(text, 0, no_markdown, code, html, 0)
    bounded = [[(start, min(end, last)) for start, end in sorted(found)] for found in (code, html)]
    return bounded[0], bounded[1]


def _collect(  # noqa: PLR0913, PLR0917 - one step of a recursion
    text: str,
    offset: int,
    no_markdown: Collection[str],
    code: list[tuple[int, int]],
    html: list[tuple[int, int]],
    depth: int,
) -> None:
    for token in parse(text).tokens:
        if not token.map:
            continue
        start, end = token.map[0] + offset, token.map[1] + offset
        if token.type == "html_block":
            html.append((start, end))
        elif token.type == "code_block":
            code.append((start, end))
        elif token.type in FENCES:
            found = directive(token.info, token.content)
            if found and found.name not in no_markdown and depth < _DEEPEST:
                # The lines that open and close the fence are no inline code. Its content is between them.
                code.extend([(start, start + 1), (end - 1, end)] if end > start + 1 else [(start, end)])
                _collect(token.content, start + 1, no_markdown, code, html, depth + 1)
            else:
                code.append((start, end))
