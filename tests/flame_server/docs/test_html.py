"""Docs from the HTML of a built site."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flame_server.docs.folder import MAX_PAGE_BYTES, Page, open_tree
from flame_server.docs.html import sections_of_html
from flame_server.docs.myst.markdown import clean, fences_are_closed, split_blocks
from flame_server.docs.sections import Section, chunks_of
from flame_server.docs.site import Site
from flame_server.errors import FlameMcpError
from flame_server.index.build import build_index
from flame_server.index.manifest import read_manifest
from flame_server.search.local import open_searcher

BASE = "https://docs.flame-engine.org/1.2/"
PAGE = """<!DOCTYPE html>
<html><head><title>Camera - Flame</title><style>.x {}</style><script>alert("head")</script></head><body>
<div class="related" role="navigation"><a href="../index.html">Navigation</a></div>
<div class="document"><div class="body" role="main">
<p>Above.</p>
<section id="camera"><span id="cam"></span>
<h1>Camera<a class="headerlink" href="#camera" title="Link">\xb6</a></h1>
<p>Follows <a href="world.html#top">the <em>world</em></a>, see <a href="#viewport">below</a>.</p>
<section id="viewport">
<h2>The <code><span class="pre">Viewport</span></code><a class="headerlink" href="#v">\xb6</a></h2>
<p>Text</p>
<blockquote><h3 id="quoted">Quoted</h3></blockquote>
</section>
<section id="empty"><h2>Empty</h2></section>
</section></div></div>
<div class="sphinxsidebar"><h3 id="toc">Table of contents</h3></div>
<div class="footer">Footer</div>
</body></html>"""


def sections(html: str, path: str = "flame/camera.md") -> list[Section]:
    return list(sections_of_html(Page(path, clean(html)), Site("1.2", []).address(path)))


def test_a_page_is_cut_at_its_sections() -> None:
    above, *found = sections(PAGE)
    assert (above.breadcrumb, above.anchor, above.body) == (("Camera",), "", "Above.")
    assert [(s.heading, s.breadcrumb, s.anchor) for s in found] == [
        ("Camera", ("Camera",), "camera"),
        ("The `Viewport`", ("Camera", "The Viewport"), "viewport"),
        ("Empty", ("Camera", "Empty"), "empty"),
    ]
    assert found[0].body == (
        f"Follows [the *world*]({BASE}flame/world.html#top), see [below]({BASE}flame/camera.html#viewport)."
    )
    assert found[1].body == "Text\n\n> ### Quoted"
    assert not found[2].body


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (
            '<div class="highlight-dart"><div><pre><span></span>run();\n\n\nx &lt; y\n</pre></div></div>',
            "```dart\nrun();\n\n\nx < y\n```",
        ),
        ('<div class="highlight-none"><pre>a\n```\nb</pre></div>', "````\na\n```\nb\n````"),
        ('<pre class="mermaid">\ngraph TD\n</pre>', "```mermaid\ngraph TD\n```"),
        (
            '<div class="admonition"><p class="admonition-title">Note</p><p>Mind <code>x</code></p></div>',
            "**Note:** Mind `x`",
        ),
        (
            '<div class="admonition"><p class="admonition-title">See</p><ul><li><p>a</p></li></ul></div>',
            "**See:**\n\n- a",
        ),
        (
            "<table><thead><tr><th>a</th><th>b</th></tr></thead><tr><td>1</td><td><p>2</p></td></tr></table>",
            "| a | b |\n| --- | --- |\n| 1 | 2 |",
        ),
        ("<ol><li>one<ul><li>two</li></ul></li></ol>", "1. one\n   - two"),
        ('<img alt="A  cat" src="../_images/c.png">', f"![]({BASE}_images/c.png)"),
        ('<img alt="A cat" src="data:image/png;base64,xx">', ""),
        ('<a href="javascript:alert(1)">x</a> <a href="https://a.b">y</a>', "x [y](https://a.b)"),
        (
            '<iframe src="/_static/apps/x/index.html?drag"></iframe>',
            "(The docs page runs a live example here: drag.)",
        ),
        ("<p>a_b * c_d ``` e</p>", "a_b * c_d \\``` e"),
        ("<p>```</p><p>after</p>", "\\```\n\nafter"),
        ("<p>a<script>x</script><!-- y --><style>z</style>\u200b b</p>", "a b"),
        ("<a href=x><pre>a\nb</pre></a> <b><pre>c</pre></b>", f"[`a b`]({BASE}flame/x) **`c`**"),
        ("<table><tr><td><pre>a\nb</pre></td></tr></table>", "| `a b` |\n| --- |"),
        ("<h2>No id</h2><p>x</p>", "## No id\n\nx"),
        ("<p>\ue0000\ue001</p>", "0"),
        ("", ""),
    ],
)
def test_construct_becomes_markdown(html: str, expected: str) -> None:
    (above,) = sections(html)
    assert split_blocks(above.body) == split_blocks(expected)


def test_a_server_and_other_builds_load_none_of_its_libraries() -> None:
    loaded = "{'bs4', 'lxml', 'markdownify'} & {*sys.modules}"
    code = f"import sys, flame_server.serving.server, flame_server.index.build; print(*{loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()


def test_headings_without_sections_have_their_own_ids() -> None:
    _, one, two = sections('<h1 id="a">A</h1><p>x</p><h2 id="b">B</h2>y<h2 id="b">Again</h2>z')
    assert (one.anchor, one.body) == ("a", "x")
    assert (two.anchor, split_blocks(two.body)) == ("b", ["y", "## Again", "z"])


def test_format_is_found_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "genindex.html").write_text(PAGE)
    with open_tree(str(tmp_path)) as tree:
        assert (tree.format, [page.path for page in tree.pages()]) == ("html", ["a.md"])
    (tmp_path / "b.md").write_text("# B")
    with open_tree(str(tmp_path)) as tree:
        assert (tree.format, [page.path for page in tree.pages()]) == ("markdown", ["b.md"])
    with open_tree(str(tmp_path), page_format="html") as tree:
        assert [page.path for page in tree.pages()] == ["a.md"]


def test_an_index_of_html_answers_and_names_the_bad_pages(tmp_path: Path) -> None:
    site = tmp_path / "html"
    (site / "flame").mkdir(parents=True)
    (site / "flame" / "camera.html").write_text(PAGE)
    (site / "binary.html").write_bytes(b"<p>\0</p>")
    (site / "deep.html").write_text("<div>" * 1_000 + "x")
    (site / "tags.html").write_text("<p>" * 200_000)
    (site / "huge.html").write_text("x" * (MAX_PAGE_BYTES + 1))
    (site / "latin.html").write_bytes(b"<p>\xff</p>")
    (site / "empty.html").write_text("")
    heard: list[str] = []
    build_index(str(site), tmp_path / "out", embedding="none", version="1.2", report=heard.append)
    warnings = [line.removeprefix("warning: ") for line in heard if line.startswith("warning")]
    assert [warning.split(":")[0] for warning in warnings] == [
        "binary.html",
        "huge.html",
        "latin.html",
        "deep.html",
        "tags.html",
    ]
    assert "deep; the limit is" in warnings[-2]
    assert "200000 tags; the limit is" in warnings[-1]
    (known,) = read_manifest(tmp_path / "out").versions
    assert (known.documents, known.skipped) == (1, 5)
    best = open_searcher(tmp_path / "out", "None").search("viewport", 1).found[0].chunk
    assert (best.source_path, best.url) == ("flame/camera.md", f"{BASE}flame/camera.html#viewport")


@pytest.mark.parametrize(
    "piece", ["<a ", "<", "<b><i></b></i>", "<!--", "<p><b>", "&a;", "<h2 id=x>y", "```"]
)
def test_hostile_html_takes_no_quadratic_time(piece: str) -> None:
    # A quadratic way through this takes minutes: the timeout of the test sees it.
    try:
        sections(piece * (200_000 // len(piece)))
    except FlameMcpError as error:
        assert "the limit is" in str(error)  # noqa: PT017 - either is right


TAGS = [
    *(
        "p",
        "div",
        "section id=s",
        "h1 id=a",
        "h2",
        "pre",
        "code",
        "ul",
        "li",
        "table",
        "tr",
        "td",
        "a href=x",
    ),
    *("blockquote", "b", "script", "dl", "dt", "dd", "img", "br", "div class=admonition"),
]
PIECES = [f"<{tag}>" for tag in TAGS] + [f"</{tag.split()[0]}>" for tag in TAGS]


@given(
    st.lists(st.sampled_from([*PIECES, "text", "```", "~~~", "\n\n", " ", "&lt;", "<", "# x"]), max_size=40)
)
@example(["<code>", "<h1 id=a>", "<p>", "```"])
@example(["&lt;", "<li>", "<pre>", "&lt;"])
@settings(max_examples=300, deadline=None)
def test_any_html_gives_sound_chunks(pieces: list[str]) -> None:
    site = Site("latest", [])
    for chunk in chunks_of("p.md", sections("".join(pieces)), site):
        assert chunk.content.strip()
        assert chunk.title
        assert fences_are_closed(chunk.content)
