"""The site of one version of the docs: URLs of pages, anchors of headings, and targets of links."""

import posixpath
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from flame_server.docs.anchors import PageAnchors, make_id
from flame_server.docs.folder import Page
from flame_server.docs.myst.directives import NO_MARKDOWN
from flame_server.docs.myst.inline import Link
from flame_server.docs.myst.markdown import (
    FENCES,
    Heading,
    Structure,
    directive,
    headings,
    inline_texts,
    parse,
    plain_text,
)

FLAME = "https://docs.flame-engine.org/{version}/{path}.html"
"""The template of the Flame docs: `{path}` stands for a page's path without its ending."""
_FLAME_REPOSITORY = ("github.com", "/flame-engine/flame")
_BLOBS = {"github.com": "blob", "gitlab.com": "-/blob"}
_DEEPEST = 10
_IN_FRAGMENTS = "/:.,()$+=~@!*;"
_EXTERNAL = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
# Characters that MyST drops when it makes slugs of headings, like GitHub.
_NOT_IN_NAMES = re.compile(r"[^\w\u4e00-\u9fff\- ]")

# Anchor and title of each name that a link may use.
_Names = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Outline:
    """The headings of a page, with their anchors on the site.

    Attributes:
        title: The first heading of level 1, else words from the file name.
        headings: The headings in their order, with their anchors.
        names: The names that links to this page may use after `#`.
        labels: Its explicit targets `(label)=`, which links on every page may use.
        references: Destinations of its link definitions by label.
    """

    title: str
    headings: list[tuple[Heading, str]]
    names: _Names
    labels: _Names
    references: dict[str, str]


def outline(page: Page) -> Outline:
    """The outline of a page."""
    structure = parse(page.text)
    anchors = PageAnchors()
    anchored: list[tuple[Heading, str]] = []
    labels: _Names = {}
    slugs: _Names = {}
    seen: Counter[str] = Counter()
    waiting: list[tuple[str, str]] = []
    for item in _anchored_items(structure):
        if not isinstance(item, Heading):
            waiting.append((item, anchors.next(item)))
            continue
        anchor = anchors.next(item.typeset)
        anchored.append((item, anchor))
        # A target has the title of the next heading.
        labels |= {label: (target, item.text) for label, target in waiting}
        waiting.clear()
        slug = _NOT_IN_NAMES.sub("", item.text.lower().replace(" ", "-"))
        slugs.setdefault(f"{slug}-{seen[slug]}" if seen[slug] else slug, (anchor, item.text))
        seen[slug] += 1
    names = {anchor: (anchor, heading.text) for heading, anchor in anchored} | slugs | labels
    titles = (heading.text for heading, _ in anchored if heading.level == 1 and heading.text)
    return Outline(next(titles, "") or title_of(page.path), anchored, names, labels, structure.references)


def _anchored_items(structure: Structure, depth: int = 0) -> Iterator[Heading | str]:
    """Everything on a page that gets an id, in order: headings, and the texts of targets and inner headings.

    Headings inside quotes, lists and directives begin no section, but have ids.
    """
    tokens = structure.tokens
    heads = deque(headings(structure))
    for token, inline in zip(tokens, [*tokens[1:], None], strict=False):
        if token.type == "myst_target":
            yield token.content.strip()
        elif token.type == "heading_open" and inline:
            yield (
                heads.popleft()
                if token.level == 0 and depth == 0
                else inline_texts(inline.content, structure)[1]
            )
        elif token.type in FENCES and depth < _DEEPEST:
            found = directive(token.info, token.content)
            if found and found.name not in NO_MARKDOWN:
                yield from _anchored_items(parse(found.body), depth + 1)


def title_of(path: str) -> str:
    """The title of a page without a heading: words from its file name."""
    return plain_text(path.rsplit("/", 1)[-1].removesuffix(".md").replace("_", " ")).capitalize() or path


def template(site_url: str, repository: str = "", commit: str = "", folder: str = "") -> str:
    """The template of the addresses of a source's pages; empty when nobody knows where they are.

    Args:
        site_url: The address of the site, perhaps with `{path}`; empty when none was given.
        repository: The address of the git repository that the pages come from, or nothing.
        commit: The commit that was read.
        folder: The folder of the pages in the repository.
    """
    if site_url:
        return site_url if "{path}" in site_url else f"{site_url.rstrip('/')}/{{path}}.html"
    parts = urlsplit(repository)
    host, path = (parts.hostname or "").removeprefix("www."), parts.path.rstrip("/").removesuffix(".git")
    if (host, path.lower(), folder.strip("/")) == (*_FLAME_REPOSITORY, "doc"):
        return FLAME
    if host not in _BLOBS or not commit:
        return ""
    inside = quote(folder.strip("/").removeprefix("./"))
    below = f"/{inside}" if inside not in {"", "."} else ""
    return f"https://{host}{quote(path)}/{_BLOBS[host]}/{quote(commit)}{below}/{{path}}.md"


class Site:
    """The site of one version of the docs.

    Args:
        version: The version.
        pages: The pages of the docs.
        links: The template of their addresses, see `template`; empty when they have none.
    """

    def __init__(self, version: str, pages: Iterable[Page], links: str = FLAME) -> None:
        self.version = version
        self._links = links
        self._outlines = {page.path: outline(page) for page in pages}
        self._labels: dict[str, str] = {}
        for path, found in self._outlines.items():
            for label in found.labels:
                self._labels.setdefault(label, path)

    def outline(self, page: Page) -> Outline:
        """The outline of a page, which need not be one of the site."""
        return self._outlines.get(page.path) or outline(page)

    def address(self, path: str, anchor: str = "") -> str:
        """The URL of a page, or of a section on it; empty when the docs have no site."""
        if not self._links:
            return ""
        known = self._links.replace("{version}", quote(self.version))
        url = known.replace("{path}", quote(path.removesuffix(".md")))
        # The ids of a page in HTML may contain anything.
        return f"{url}#{quote(anchor, safe=_IN_FRAGMENTS)}" if anchor else url

    def resolve(self, destination: str, page: str) -> Link | None:
        """The target of a link on `page`; None when it leads neither to another site nor to a known page.

        Nor does a link within docs that have no site lead anywhere.
        """
        if _EXTERNAL.match(destination):
            return Link(destination, destination)
        if _SCHEME.match(destination):
            return None
        path, _, fragment = destination.partition("#")
        target = self._page(unquote(path), page) if path else page
        if target is None or target not in self._outlines:
            return None if "/" in path or "." in path else self._labelled(path, page)
        found = self._outlines[target]
        name = unquote(fragment)
        anchor, title = found.names.get(name) or found.names.get(make_id(name)) or ("", found.title)
        return self._link(target, anchor, title)

    def _link(self, path: str, anchor: str, title: str) -> Link | None:
        url = self.address(path, anchor)
        return Link(url, title) if url else None

    def _labelled(self, label: str, page: str) -> Link | None:
        """The target `(label)=` on this page, else on any page."""
        here = self._outlines.get(page)
        path = page if here and label in here.labels else self._labels.get(label)
        if path is None:
            return None
        anchor, title = self._outlines[path].labels[label]
        return self._link(path, anchor, title)

    def _page(self, path: str, page: str) -> str | None:
        """The page that a relative path on `page` leads to, with or without its file extension."""
        folder = "" if path.startswith("/") else posixpath.dirname(page)
        meant = posixpath.normpath(posixpath.join(folder, path.lstrip("/")))
        stem = meant.removesuffix(".html")
        for candidate in (
            meant,
            f"{stem}.md",
            f"{meant}/index.md",
            f"{meant}/{posixpath.basename(meant)}.md",
        ):
            if candidate in self._outlines:
                return candidate
        return None
