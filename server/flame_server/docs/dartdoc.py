"""Reads doc comments of Dart sources, for the `{dartdoc}` directive of the docs."""

import re
from collections.abc import Collection

from markdown_it.common.utils import normalizeReference

_DOC = re.compile(r"^\s*///\s?(.*)$")
# All repetitions end at what they cannot pass, so that each line is read once.
_TEMPLATE = re.compile(r"\{@[^{}]*+\}")
_REFERENCE = re.compile(r"(?<![\w`\]!\[])\[([A-Za-z_][\w.]*)\](?![\[(:])")
# A link whose target is one of the directive's own link definitions.
_DEFINED = re.compile(r"\[\[([^\[\]]+)\]\]")
_DECLARED_NAME = re.compile(
    r"(?<![\w$])([A-Za-z_$][\w$]*+(?:\.[\w$]++)?)\s*+(?:<[^>]{0,200}>)?\s*+(?:\(|=>|=|;|\{|$)"
)
_TEXT = re.compile(r"'(?:\\.|[^'\\])*+(?:'|\\?\Z)|\"(?:\\.|[^\"\\])*+(?:\"|\\?\Z)")
_BODY = re.compile(r"=>|=|;|\{")
_MOST_SIGNATURE = 2_000


def doc_of(source: str, symbol: str, links: Collection[str] = ()) -> str | None:
    """The doc comment of a class, mixin, enum, extension or typedef and of its public members, as markdown.

    `[Name]` becomes code, unless its normalised label is in `links`: then it stays a link. None when the
    source does not declare the symbol.
    """
    lines = source.split("\n")
    declaration = re.compile(
        rf"^(?:[a-z]+ )*(?:class|mixin|enum|extension|extension type|typedef) {re.escape(symbol)}\b"
    )
    start = next((n for n, line in enumerate(lines) if declaration.match(line)), None)
    if start is None:
        return None
    parts = [_markdown(_comment_above(lines, start), links)]
    for signature, comment in _members(lines, start):
        parts.append(f"`{signature}`\n\n{_markdown(comment, links)}")
    return "\n\n".join(part for part in parts if part)


def _comment_above(lines: list[str], declaration: int) -> list[str]:
    end = declaration
    while end and lines[end - 1].lstrip().startswith("@"):
        end -= 1
    start = end
    while start and _DOC.match(lines[start - 1]):
        start -= 1
    return lines[start:end]


def _members(lines: list[str], start: int) -> list[tuple[str, list[str]]]:
    """The signature and comment of every documented public member of the declaration at `start`."""
    found: list[tuple[str, list[str]]] = []
    depth = 0
    for number in range(start, len(lines)):
        line = lines[number]
        if depth == 1 and _starts_documented_member(lines, number):
            signature = _signature(lines, number)
            name = _DECLARED_NAME.search(signature)
            comment = _comment_above(lines, number)
            if any(line.strip(" /") for line in comment) and name and not name[1].startswith("_"):
                found.append((signature, comment))
        depth += _depth_change(line)
        if depth <= 0 and number > start and ("}" in line or ";" in line):
            break
    return found


def _starts_documented_member(lines: list[str], number: int) -> bool:
    bare = lines[number].strip()
    if not bare or bare.startswith(("//", "@")):
        return False
    above = number - 1
    while above and lines[above].lstrip().startswith("@"):
        above -= 1
    return _DOC.match(lines[above]) is not None


def _depth_change(line: str) -> int:
    """How many braces a line of code opens, minus those it closes. Comments and strings do not count."""
    code = _TEXT.sub("", line).split("//")[0]
    return code.count("{") - code.count("}")


def _signature(lines: list[str], number: int) -> str:
    """The declaration as one line, without body and initialiser."""
    text = lines[number].strip()[:_MOST_SIGNATURE]
    for line in lines[number + 1 : number + 20]:
        if re.search(r"[;{=]", text) and text.count("(") <= text.count(")"):
            break
        if text.count("(") <= text.count(")") and text.endswith(")"):
            break
        text = f"{text} {line.strip()}"[:_MOST_SIGNATURE]
    parameters = re.match(r"[^({=;]*\(", text)
    if parameters:
        return text[: _closing(text, parameters.end() - 1) + 1]
    return _BODY.split(text, maxsplit=1)[0].rstrip()


def _closing(text: str, opening: int) -> int:
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return len(text) - 1


def _markdown(comment: list[str], links: Collection[str]) -> str:
    """A `///` block as markdown: `[Name]` references become code, templates are dropped, fences stay."""

    def code_or_link(reference: re.Match[str]) -> str:
        return reference[0] if normalizeReference(reference[1]) in links else f"`{reference[1]}`"

    fenced = False
    lines = []
    for raw in comment:
        match = _DOC.match(raw)
        line = match[1] if match else ""
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            line = _REFERENCE.sub(code_or_link, _DEFINED.sub(r"[\1]", _TEMPLATE.sub("", line)))
        lines.append(line.rstrip())
    return "\n".join(lines).strip("\n")
