"""MyST markdown as plain markdown that a model can read: directives expanded, the site's plumbing gone."""

import re
from collections.abc import Callable, Mapping

from markdown_it.token import Token

from flame_server.docs.markdown import Directive, directive, fence, parse

DartdocLookup = Callable[[Mapping[str, str]], str]

_DROPPED = {"toctree", "contents", "index", "raw", "eval-rst", "tableofcontents", "literalinclude"}
_CODE = {"code", "code-block", "code-cell", "sourcecode", "mermaid", "math", "graphviz"}
_ADMONITIONS = {
    "note", "warning", "seealso", "error", "tip", "hint", "caution", "danger", "important", "attention",
    "deprecated", "versionadded", "versionchanged", "admonition",
}  # fmt: skip
_LABELS = {
    "seealso": "See also",
    "versionadded": "Added in",
    "versionchanged": "Changed in",
    "admonition": "",
}
_COLON_FENCE = re.compile(r"^(\s*):{3,}\s*(?:\{([\w:.-]+)\}\s*(.*))?$")
_TARGET = re.compile(r"^\([\w\s:.-]+\)=$")
_ROLE = re.compile(r"\{[\w:-]+\}`([^`<]+?)(?:\s*<[^>`]*>)?`")
_MERMAID_STYLE = re.compile(r"^\s*(?:%%|classDef\b|class\s|style\s|linkStyle\b)")


def render(text: str, dartdoc: DartdocLookup) -> str:
    """The markdown of a section's body with every directive resolved.

    Args:
        text: MyST markdown; link definitions and HTML comments are dropped, code is kept as closed fences.
        dartdoc: Gives the markdown for a `{dartdoc}` directive's options.
    """
    tokens, definitions = parse(text)
    lines = text.split("\n")
    replaced: dict[int, tuple[int, list[str]]] = {start: (end, []) for start, end in definitions}
    for token in tokens:
        if token.map and token.type in {"fence", "code_block", "html_block"}:
            start, end = token.map
            replaced[start] = (end, _render_block(token, lines[start], dartdoc))
    out: list[str] = []
    number = 0
    while number < len(lines):
        if number in replaced:
            number, block = replaced[number]
            out.extend(block)
        else:
            out.extend(_prose(lines[number]))
            number += 1
    return "\n".join(line.rstrip() for line in out).strip("\n")


def _render_block(token: Token, first_line: str, dartdoc: DartdocLookup) -> list[str]:
    if token.type == "html_block":
        kept = _without_comments(token.content).rstrip()
        return kept.split("\n") if kept.strip() else []
    if token.type == "code_block":
        body = fence(token.content)
        indent = re.match(r"\s*", first_line)
        prefix = indent[0][:-4] if indent and token.level else ""
    else:
        found = directive(token.info, token.content)
        body = resolve(found, dartdoc) if found else fence(token.content, token.info.split(" ")[0])
        prefix = first_line[: first_line.index(token.markup)] if token.markup in first_line else ""
    if not body.strip():
        return []
    # What follows a list marker on its line is indented by the marker's width; quotes repeat theirs.
    following = re.sub(r"[^>\s]", " ", prefix)
    first, *rest = body.split("\n")
    block = [prefix + first, *(following + line if line else following.rstrip() for line in rest)]
    return block if prefix.strip() else ["", *block, ""]


def resolve(found: Directive, dartdoc: DartdocLookup) -> str:
    """A directive as markdown; empty for one that only steers the site."""
    match found.name:
        case name if name in _DROPPED:
            text = ""
        case name if name in _CODE:
            text = _code(found)
        case "flutter-app":
            text = f"(The docs page runs a live example here: {found.options.get('page', 'demo')}.)"
        case "dartdoc":
            text = render(dartdoc(found.options), dartdoc)
        case "list-table":
            text = _table(found.body)
        case "image" | "figure":
            text = "\n\n".join(part for part in (found.options.get("alt", ""), found.body) if part)
        case _:
            text = _unwrapped(found, dartdoc)
    return text


def _unwrapped(found: Directive, dartdoc: DartdocLookup) -> str:
    """An admonition or another container as its prose, behind its label."""
    inner = render(found.body, dartdoc)
    label = _label(found)
    if not label:
        return inner
    starts_a_block = inner.startswith(("```", "- ", "|"))
    return f"{label}\n\n{inner}" if starts_a_block else f"{label} {inner}".strip()


def _label(found: Directive) -> str:
    name = _LABELS.get(found.name, found.name.capitalize() if found.name in _ADMONITIONS else "")
    words = f"{name} {found.argument}".strip()
    return f"**{words}:**" if words else ""


def _code(found: Directive) -> str:
    if found.name == "mermaid":
        kept = [line for line in found.body.split("\n") if line.strip() and not _MERMAID_STYLE.match(line)]
        return fence("\n".join(kept), "mermaid")
    return fence(found.body, found.argument.split(" ")[0] if found.name != "math" else "latex")


def _table(body: str) -> str:
    """A `{list-table}` (`* - cell`, then `  - cell`) as a pipe table."""
    rows: list[list[str]] = []
    for line in body.split("\n"):
        row, cell = re.match(r"^\* -\s*(.*)$", line), re.match(r"^  -\s*(.*)$", line)
        if row:
            rows.append([row[1]])
        elif cell and rows:
            rows[-1].append(cell[1])
        elif line.strip() and rows:
            rows[-1][-1] = f"{rows[-1][-1]} {line.strip()}"
    table = [f"| {' | '.join(row)} |" for row in rows]
    if table:
        table.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(table)


def _prose(line: str) -> list[str]:
    """A line outside fences: `:::` containers opened up, targets dropped, roles as their text."""
    container = _COLON_FENCE.match(line)
    if container:
        name, argument = container[2], (container[3] or "").strip()
        if name is None:
            return [""]
        label = argument if name == "package" else _label(Directive(name, argument, {}, "")).strip("*:")
        return ["", f"{container[1]}**{label}:**", ""] if label else [""]
    if _TARGET.match(line.strip()):
        return []
    return [_ROLE.sub(lambda role: role[1], _without_comments(line))]


def _without_comments(text: str) -> str:
    # Not a regular expression: a page of unclosed comments would take it quadratic time.
    kept: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join(kept) + text[at:]
