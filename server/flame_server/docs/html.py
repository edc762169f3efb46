"""Reads pages of a site built by Sphinx: cuts them into sections and converts these to markdown."""

import re
import warnings
from collections.abc import Iterator
from itertools import accumulate
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from markdownify import MarkdownConverter

from flame_server.docs.anchors import MAX_ANCHOR_CHARS
from flame_server.docs.folder import MAX_HEADINGS, Page
from flame_server.docs.hidden import Selectors, hides, hiding_selectors, selected_by
from flame_server.docs.myst.directives import labelled, live_example
from flame_server.docs.myst.markdown import clean, fence, with_closed_fences
from flame_server.docs.names import bounded
from flame_server.docs.sections import Cut, Section, with_breadcrumbs
from flame_server.docs.site import title_of
from flame_server.errors import FlameMcpError

# Pages of Sphinx are nested about 30 deep; the converter recurses for each level.
_DEEPEST = 150
# Flame's largest page has about 9,000; the libraries take about 10 s for this limit.
_MAX_TAGS = 100_000
# Counted before parsing, which takes long for deep nesting: tags that have no closing one yet and need it.
_MAX_OPEN = 500
_NESTING = re.compile(
    r"<(?:(/)|(?!(?:p|li|d[td]|t[rdh]|thead|tbody|tfoot|colgroup|option|br|hr|img|input|link|meta|col|wbr|area|"
    r"source|track|embed|param|base)\b)[a-z])",
    re.IGNORECASE,
)
_MAIN = ["[role=main]", "main", "article", "div.body", "div.document", "body"]
_DROPPED = (
    "script, style, template, noscript, nav, footer, form, button, svg, object, head, "
    "[role=navigation], .headerlink, .sphinxsidebar, .related, .toctree-wrapper, .linenos, .copybtn"
)
_HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
# A heading inside one of these is part of the text and begins no section.
_TEXTS = ["blockquote", "li", "td", "th", "pre", "code", "dd", "figure", "details"]
# Code blocks where markdown cannot have any.
_INLINE_CODE = ", ".join(
    f"{around} pre" for around in ["a", "b", "i", "em", "strong", "code", "pre", "td", "th", "dt", *_HEADINGS]
)
# Marks the places of headings: private use characters, which are removed from the page before.
_MARK = re.compile(r"^[ \t]*\ue000(\d+)\ue001[ \t]*$", re.MULTILINE)
_PRIVATE = re.compile("[\ue000\ue001]")
# What becomes a remark about the example that runs there.
_CONVERTED = {"iframe"}
_PLAIN = {"default", "none", "text"}
_FENCE_LIKE = re.compile(r"`{3,}|~{3,}")


def sections_of_html(page: Page, address: str) -> Iterator[Section]:
    """The sections of an HTML page in reading order; the first is the text above the first heading.

    Args:
        page: A page whose text is HTML.
        address: The URL of the page, to resolve its links.

    Raises:
        FlameMcpError: It is nested too deeply or has too many tags or headings to be a page of docs.
    """
    main = _main(page.text)
    _drop_hidden(main)
    for dropped in main.select(_DROPPED):
        dropped.decompose()
    _name_admonitions(main)
    _name_apps(main)
    for code in main.select(_INLINE_CODE):
        code.name = "code"
        code.string = " ".join(code.get_text().split())
    converter = _Converter(address)
    headings = _marked_headings(main, converter)
    above, *parts = _MARK.split(clean(converter.convert_soup(main)))
    # Bad nesting may put a fence after other text on a line; it is closed on a line of its own.
    bodies = {
        int(number): with_closed_fences(body.strip("\n"))
        for number, body in zip(parts[::2], parts[1::2], strict=True)
    }
    cuts = [Cut(*heading, bodies.get(number, "")) for number, heading in enumerate(headings)]
    title = next((cut.text for cut in cuts if cut.level == 1 and cut.text), "") or title_of(page.path)
    yield Section("", (bounded(title),), "", with_closed_fences(above.strip("\n")))
    yield from with_breadcrumbs(title, cuts)


def _main(text: str) -> Tag:
    tags = text.count("<")
    if tags > _MAX_TAGS:
        raise FlameMcpError(f"it has {tags} tags; the limit is {_MAX_TAGS}")
    still_open = accumulate(-1 if tag[1] else 1 for tag in _NESTING.finditer(text))
    if max(still_open, default=0) > _MAX_OPEN:
        raise FlameMcpError(f"it is nested more than {_MAX_OPEN} deep; the limit is {_DEEPEST}")
    with warnings.catch_warnings():
        # Warnings about pages that look like XML or like a file name.
        warnings.simplefilter("ignore")
        soup = BeautifulSoup(_PRIVATE.sub("", text), "lxml")
    depths = {id(soup): 0}
    for tag in soup.find_all(True):
        depths[id(tag)] = depths[id(tag.parent)] + 1
    deepest = max(depths.values())
    if deepest > _DEEPEST:
        raise FlameMcpError(f"it is nested {deepest} deep; the limit is {_DEEPEST}")
    return next((found for pattern in _MAIN if (found := soup.select_one(pattern))), soup)


def _drop_hidden(main: Tag) -> None:
    """Removes what a browser does not show: by names, attributes, styles, or the page's own stylesheets."""
    page = [*main.parents][-1] if main.parent else main
    styles = [style.get_text() for style in page.find_all("style")]
    selectors = hiding_selectors("\n".join(styles))
    unseen = [tag for tag in main.find_all(True) if _is_hidden(tag, selectors)]
    for tag in unseen:
        if not tag.decomposed:
            tag.decompose()
    if any(_is_hidden(tag, selectors) for tag in [main, *main.parents] if tag.parent):
        main.clear()


def _is_hidden(tag: Tag, selectors: Selectors) -> bool:
    if tag.name in _CONVERTED:
        return False
    attributes = {
        name.lower(): " ".join(value) if isinstance(value, list) else str(value)
        for name, value in tag.attrs.items()
    }
    return hides(tag.name, attributes) or selected_by(selectors, tag.name, attributes)


def _name_admonitions(main: Tag) -> None:
    """Moves the titles of admonitions into an attribute, where the converter finds them."""
    for claimed in main.select("[data-label]"):
        del claimed["data-label"]
    for box in main.select(".admonition"):
        title = box.find(class_="admonition-title")
        if isinstance(title, Tag):
            box["data-label"] = " ".join(title.get_text().split())
            title.decompose()


def _name_apps(main: Tag) -> None:
    for frame in main.select("iframe"):
        parts = urlsplit(str(frame.get("src", "")))
        frame.name = "p"
        frame.string = live_example(parts.query) if parts.path else ""


def _marked_headings(main: Tag, converter: "_Converter") -> list[tuple[int, str, str, str]]:
    """Replaces headings that begin sections with marks; returns their level, text, markdown and anchor."""
    cuts: list[tuple[int, str, str, str]] = []
    taken: set[str] = set()
    # Elements with a heading that begins no section, by identity: looking for it each time takes long.
    headed: set[int] = set()
    for heading in main.find_all(_HEADINGS):
        if not any(around is main for around in heading.parents):
            continue  # it was inside of another one, whose text has its text
        anchor = _anchor(heading, headed)
        # Without an id of its own no link can lead to it, so it stays part of the section before.
        if not anchor or len(anchor) > MAX_ANCHOR_CHARS or anchor in taken or _is_in_text(heading):
            headed.update(map(id, heading.parents))
            continue
        taken.add(anchor)
        text = " ".join(clean(heading.get_text()).split())
        level = int(heading.name[1])
        heading.name = "span"
        source = " ".join(clean(converter.convert_soup(heading)).split())
        cuts.append((level, text, source, anchor))
        heading.name = "p"
        heading.string = f"\ue000{len(cuts) - 1}\ue001"
    if len(cuts) > MAX_HEADINGS:
        raise FlameMcpError(f"it has more than {MAX_HEADINGS} headings")
    return cuts


def _is_in_text(heading: Tag) -> bool:
    return bool(heading.find_parent(_TEXTS) or heading.find_parent(class_="admonition"))


def _anchor(heading: Tag, headed: set[int]) -> str:
    """The id that links to a heading use; `headed` are elements with another heading before it."""
    parent = heading.parent
    if parent is None:
        return str(heading.get("id") or "")
    is_section = parent.name == "section" or "section" in parent.get_attribute_list("class")
    return str((is_section and id(parent) not in headed and parent.get("id")) or heading.get("id") or "")


class _Converter(MarkdownConverter):
    """Converts HTML to the same markdown that the docs' sources become."""

    class Options:
        """See `MarkdownConverter`."""

        bullets = "-"
        heading_style = "atx"
        table_infer_header = True
        escape_asterisks = False
        escape_underscores = False

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def escape(self, text: str, parent_tags: set[str]) -> str:
        """Escapes text that would open a fence."""
        del parent_tags
        return _FENCE_LIKE.sub(lambda run: "\\" + run[0], text)

    def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A link with an absolute URL; only the text for links to scripts."""
        url = urljoin(self._address, str(el.get("href") or ""))
        if "_noformat" in parent_tags or not el.get("href") or not text.strip():
            return text
        return f"[{text.strip()}]({url})" if url.startswith(("https:", "http:", "mailto:")) else text

    def convert_img(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """An image with an absolute URL; nothing for embedded data.

        Nobody sees the alternative text of an image that is shown.
        """
        del text, parent_tags
        url = urljoin(self._address, str(el.get("src") or ""))
        return f"![]({url})" if url.startswith(("https:", "http:")) else ""

    def convert_code(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """Inline code, always on one line."""
        line: str = super().convert_code(el, " ".join(text.split()), parent_tags)  # type: ignore[misc]  # its type file lacks it
        return line

    convert_kbd = convert_code
    convert_samp = convert_code

    def convert_pre(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A closed fence with the language from the classes that Sphinx sets."""
        del text, parent_tags
        code = el.get_text().strip("\n")
        return f"\n\n{fence(code, _language(el))}\n\n" if code.strip() else ""

    def convert_div(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A block; for an admonition, its label and then its text."""
        label = str(el.get("data-label") or "")
        if label and "_inline" not in parent_tags:
            return f"\n\n{labelled(f'**{label}:**', text.strip())}\n\n"
        text = text.strip()
        block = f"\n\n{text}\n\n" if text else ""
        return f" {text} " if "_inline" in parent_tags else block

    convert_article = convert_div
    convert_section = convert_div


def _language(pre: Tag) -> str:
    for tag in [pre, *list(pre.parents)[:2]]:
        for name in tag.get_attribute_list("class"):
            if name == "mermaid":
                return "mermaid"
            if name and name.startswith("highlight-"):
                language = name.removeprefix("highlight-")
                return "" if language in _PLAIN else language
    return ""
