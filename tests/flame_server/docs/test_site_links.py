"""Every link of a result opens the right section: checked against the docs built by Sphinx."""

import re
from functools import partial
from pathlib import Path

import pytest

from flame_server.docs.folder import open_tree
from flame_server.docs.html import sections_of_html
from flame_server.docs.myst.markdown import (
    Structure,
    clean,
    fences_are_closed,
    has_fence,
    inline_texts,
    split_blocks,
)
from flame_server.docs.sections import Chunk, chunks_of, sections_of
from flame_server.docs.site import Site
from tests.support.server.sphinx_site import SitePages, build_site

pytestmark = pytest.mark.timeout(300)
BASE = "https://docs.flame-engine.org/latest/"
_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
_LINK = re.compile(r"(?<!!)\]\(([^()\s]*(?:\([^()\s]*\))?[^()\s]*)\)")


def all_chunks(source: Path) -> list[Chunk]:
    with open_tree(str(source)) as tree:
        pages = list(tree.pages())
        site = Site("latest", pages)
        return [
            chunk
            for page in pages
            for chunk in chunks_of(
                page.path, sections_of(page, site, partial(tree.dartdoc, page=page.path)), site
            )
        ]


def wrong_anchors(chunks: list[Chunk], pages: SitePages) -> list[tuple[str, str | None]]:
    return [
        (chunk.url, heading)
        for chunk in chunks
        for heading in [pages.heading(*place(chunk.url))]
        if pages.ids(place(chunk.url)[0]) is None
        # The joiners of emojis are dropped with what else cannot be seen.
        or (chunk.anchor and clean(heading or "") != shown(chunk.heading))
    ]


def shown(heading: str) -> str:
    return inline_texts(heading, Structure([], [], {}))[1]


def place(url: str) -> tuple[str, str]:
    page, _, anchor = url.removeprefix(BASE).partition("#")
    return page, anchor


def links(content: str) -> list[str]:
    prose = "\n\n".join(block for block in split_blocks(content) if not has_fence(block))
    return _LINK.findall(_CODE.sub("", prose))


def is_dead(link: str, pages: SitePages) -> bool:
    page, anchor = place(link)
    ids = pages.ids(page)
    return ids is None or bool(anchor and anchor not in ids)


def test_every_result_opens_its_section(flame_docs: Path, flame_site: Path) -> None:
    chunks = all_chunks(flame_docs)
    assert len(chunks) > 850
    assert not wrong_anchors(chunks, SitePages(flame_site))


def test_every_link_in_the_content_leads_somewhere(flame_docs: Path, flame_site: Path) -> None:
    pages = SitePages(flame_site)
    found = {link for chunk in all_chunks(flame_docs) for link in links(chunk.content)}
    inside = {link for link in found if link.startswith(BASE)}
    assert len(inside) > 200
    assert not [link for link in found if not re.match(r"https?://|mailto:|[^ ]*\.(?:png|jpg|webp)$", link)]
    assert not [link for link in inside if is_dead(link, pages)]


def test_the_sites_html_gives_the_same_sections(flame_docs: Path, flame_site: Path) -> None:
    site = Site("latest", [])
    with open_tree(str(flame_site)) as tree:
        from_html = [
            chunk
            for page in tree.pages()
            for chunk in chunks_of(page.path, sections_of_html(page, site.address(page.path)), site)
        ]
    # Only the typesetting of the headings differs.
    assert {(c.source_path, c.anchor, c.title, c.url) for c in from_html} == {
        (c.source_path, c.anchor, shown(c.heading) or c.title, c.url) for c in all_chunks(flame_docs)
    }
    assert not [chunk.id for chunk in from_html if not fences_are_closed(chunk.content)]
    assert not [link for chunk in from_html for link in links(chunk.content) if "://" not in link]


HARD = """(start)=
# Page's "title" -- a test...

top [](#usage) and [two](#usage-1)

(usage)=
## Usage

one [other](other.md#it-s-what) [label](start)

## Usage

two

## 2. `Code` & <b>bold</b> [link](https://x.dev)

three

:::{note}
## Not a section

four
:::

## 日本語

five

## 1.0

six

## Methods

seven

```{dartdoc}
:symbol: Methods
:package: flame
:file: x.dart
```

### Methods

```{include} part.inc
```

Setext *title*
--------------

eight

## Usage

nine

> ## Quoted

ten

## id5

eleven

## Quoted

twelve

## Not a section

thirteen
"""
PART = "## Included's heading\n\nhello\n\n## Usage\n\nagain\n"
OTHER = "# Other\n\n## It's what?\n\nsee [](index.md), {ref}`that <start>` and {doc}`index`\n"


def test_hard_headings_get_the_ids_of_the_site(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(HARD)
    (docs / "part.inc").write_text(PART)
    (docs / "other.md").write_text(OTHER)
    chunks = all_chunks(docs)
    pages = SitePages(build_site(docs, tmp_path / "site"))
    assert len(chunks) == 15
    assert not wrong_anchors(chunks, pages)
    content = "\n".join(chunk.content for chunk in chunks)
    inside = [link for link in links(content) if link.startswith(BASE)]
    assert len(inside) == 7
    assert not [link for link in inside if is_dead(link, pages)]
