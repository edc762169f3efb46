"""Turns MyST into plain markdown for models: expands directives, and drops what only the site needs."""

import re
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace

from markdown_it.token import Token

from flame_server.docs.hidden import hides
from flame_server.docs.myst.inline import Link, Resolver, rewrite
from flame_server.docs.myst.markdown import FENCES, Directive, directive, fence, parse, without_unseen
from flame_server.docs.myst.visible import without_hidden

DartdocLookup = Callable[[Mapping[str, str], Mapping[str, str]], str]

_DROPPED = {
    "toctree", "contents", "index", "raw", "tableofcontents", "literalinclude", "include", "comment", "meta",
    "title", "highlight", "sectionauthor", "codeauthor", "currentmodule", "todo", "ifconfig", "substitution",
}  # fmt: skip
_CODE = {
    "code", "code-block", "code-cell", "csv-table", "eval-rst", "graphviz", "math", "mermaid", "sourcecode",
}  # fmt: skip
_CODE_LANGUAGES = {"csv-table": "csv", "eval-rst": "rst", "graphviz": "dot", "math": "latex"}
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
# Directives whose body is not markdown of the page.
NO_MARKDOWN = _DROPPED | _CODE | {"dartdoc", "flutter-app"}
# The arguments of these directives are names of styles.
_UNNAMED = {"container", "div", "class", "rst-class", "tab-set", "grid", "only"}
_GONE = {"myst_target", "myst_line_comment", "myst_block_break"}
# Real pages are not nested deeper; a doc comment that includes itself would never end.
_DEEPEST = 10
_MARKER = re.compile(r"`{3,}|~{3,}|:{3,}")
# Lists, quotes, tables, headings and fences must begin on a line of their own.
_BLOCK = re.compile(r"\s|[-+*]\s|[#>|~]|```|\d+[.)]\s|!\[")
# The builders whose pages people read: what `{only}` gives to others is hidden.
_ONLY_HTML = re.compile(r"(?:builder_|format_)?html|not (?:latex|pdf|epub|man|text|builder_(?!\w*html)\w+)")
_DOT_COMMENT = re.compile(
    r"/\*.*?(?:\*/|\Z)|^\s*(?:#|//)[^\n]*$|(?<=[\s;{}])//[^\n]*$", re.DOTALL | re.MULTILINE
)
# A line that begins with two dots is a comment in reStructuredText, with what is indented below it, unless it
# names a directive, a target, a footnote or a substitution.
_RST_COMMENT = re.compile(
    r"^([ \t]*)\.\.(?:[ \t]+(?!\[|_|\||[\w:.+-]+::)[^\n]*)?$(?:\n(?:[ \t]*|\1[ \t]+[^\n]*)$)*", re.MULTILINE
)
_PLAIN_NAME = re.compile(r"[\w./&=-]{1,40}")
_MERMAID_STYLE = re.compile(r"^\s*(?:%%|classDef\b|class\s|style\s|linkStyle\b)")
_SCRIPT = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)


def visible(text: str) -> str:
    """The markdown of a page without what raw HTML hides in it."""
    return without_hidden(text, NO_MARKDOWN)


def _as_it_is(destination: str) -> Link:
    return Link(destination, destination)


def _no_dartdoc(options: Mapping[str, str], references: Mapping[str, str]) -> str:
    del options, references
    return ""


@dataclass(frozen=True)
class Context:
    """What is needed to resolve the references in a text.

    Attributes:
        dartdoc: Returns the markdown for the options and link definitions of a `{dartdoc}` directive.
        resolve: Resolves the links of the page.
        references: The page's link definitions.
        depth: How many directives surround the text.
    """

    dartdoc: DartdocLookup = _no_dartdoc
    resolve: Resolver = _as_it_is
    references: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0


def render(text: str, context: Context) -> str:
    """The markdown of a section's body, with every directive resolved and every link absolute.

    Link definitions and HTML comments are dropped; code becomes closed fences.
    """
    structure = parse(text)
    # Not a copy: a page has many sections, and may have many definitions.
    references = ChainMap(structure.references, *_maps(context.references))
    context = replace(context, references=references, depth=context.depth + 1)
    lines = text.split("\n")
    replaced: dict[int, tuple[int, list[str]]] = {start: (end, []) for start, end in structure.definitions}
    for token in structure.tokens:
        if token.map:
            start, end = token.map
            block = _rendered(token, lines[start:end], context)
            if block is not None:
                replaced[start] = (end, block)
    out: list[str] = []
    number = 0
    while number < len(lines):
        number, block = replaced.get(number, (number + 1, lines[number : number + 1]))
        out += block
    return "\n".join(line.rstrip() for line in out).strip("\n")


def _maps(references: Mapping[str, str]) -> Sequence[MutableMapping[str, str]]:
    return references.maps if isinstance(references, ChainMap) else (dict(references),)


def _rendered(token: Token, lines: list[str], context: Context) -> list[str] | None:
    """The lines that replace a block; None when its lines stay as they are or it contains other blocks."""
    match token.type:
        case "inline":
            return rewrite("\n".join(lines), context.resolve, context.references).split("\n")
        case "html_block":
            return _html(token.content, context)
        case kind if kind in _GONE:
            return []
        case kind if kind in FENCES or kind == "code_block":
            return _fenced(token, lines[0], context)
        case _:
            return None


def _html(content: str, context: Context) -> list[str]:
    """The text of raw HTML, without indentation, which would turn it into code."""
    text = rewrite(without_unseen(_SCRIPT.sub("", content)), context.resolve, {})
    return [line.strip() for line in text.split("\n") if line.strip()]


def _fenced(token: Token, first_line: str, context: Context) -> list[str]:
    if token.type == "code_block":
        body = fence(token.content)
        indent = re.match(r"\s*", first_line)
        prefix = indent[0][:-4] if indent and token.level else ""
    else:
        found = directive(token.info, token.content)
        body = resolve(found, context) if found else fence(token.content, token.info.split(" ")[0])
        marker = _MARKER.search(first_line)
        prefix = first_line[: marker.start()] if marker else ""
    if not body.strip():
        return []
    # Lines after a list marker are indented by its width; quote markers are repeated.
    following = re.sub(r"[^>\s]", " ", prefix)
    first, *rest = body.split("\n")
    block = [prefix + first, *(following + line if line else following.rstrip() for line in rest)]
    return block if prefix.strip() else ["", *block, ""]


def resolve(found: Directive, context: Context) -> str:
    """A directive as markdown; empty for directives that only control the site."""
    match found.name:
        case name if name in _DROPPED or _is_hidden(found):
            text = ""
        case _ if context.depth > _DEEPEST:
            text = fence(found.body)
        case name if name in _CODE:
            text = _code(found)
        case "flutter-app":
            text = live_example(found.options.get("page", ""))
        case "dartdoc":
            references = ChainMap(parse(found.body).references, *_maps(context.references))
            doc = visible(context.dartdoc(found.options, references))
            text = render(doc, replace(context, references=references))
        case "list-table":
            text = render(_table(found.body), context)
        case "image" | "figure":
            # Nobody sees the alternative text of an image that is shown.
            text = f"![]({found.argument})\n\n{render(found.body, context)}".strip()
        case _:
            text = _unwrapped(found, context)
    return text


def _is_hidden(found: Directive) -> bool:
    """Whether the site shows nothing of a directive."""
    if found.name == "only":
        return not _ONLY_HTML.fullmatch(found.argument.strip())
    classes = found.options.get("class", "")
    if found.name in _UNNAMED:
        classes = f"{classes} {found.argument}"
    tags = found.options.get("tags", "") if found.name == "code-cell" else ""
    return hides("div", {"class": classes, "style": found.options.get("style", "")}) or "remove" in tags


def live_example(name: str) -> str:
    """What stands for a running example; readers do not see its name, so only a plain one is told."""
    return f"(The docs page runs a live example here: {name if _PLAIN_NAME.fullmatch(name) else 'demo'}.)"


def _unwrapped(found: Directive, context: Context) -> str:
    """An admonition or another container: its label, then its text."""
    return labelled(_label(found), render(found.body, context))


def labelled(label: str, text: str) -> str:
    """A label, then the text: in the same paragraph, or below it when the text begins with a block."""
    if not label:
        return text
    return f"{label}\n\n{text}" if _BLOCK.match(text) else f"{label} {text}".strip()


def _label(found: Directive) -> str:
    name = _LABELS.get(found.name, found.name.capitalize() if found.name in _ADMONITIONS else "")
    argument = "" if found.name in _UNNAMED else found.argument
    words = f"{name} {argument}".strip()
    return f"**{words}:**" if words else ""


def _code(found: Directive) -> str:
    if found.name == "mermaid":
        kept = [line for line in found.body.split("\n") if line.strip() and not _MERMAID_STYLE.match(line)]
        return fence("\n".join(kept), "mermaid")
    if found.name == "graphviz":
        return fence(_DOT_COMMENT.sub("", found.body), "dot")
    if found.name == "eval-rst":
        return fence(_RST_COMMENT.sub("", found.body), "rst")
    return fence(found.body, _CODE_LANGUAGES.get(found.name) or found.argument.split(" ")[0])


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
