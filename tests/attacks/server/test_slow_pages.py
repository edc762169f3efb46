"""Of attack 59's kind: pages that make reading them slow, found by a second attacker."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flame_server.docs.folder import open_tree
from flame_server.docs.hidden import hiding_selectors, selected_by
from flame_server.docs.myst.visible import without_hidden
from flame_server.index.build import read_docs
from tests.support.server.small_docs import quiet

SIZE = 200_000
PAGES = {
    "a sentence": "If a <b then the loop ends here and nothing else happens at all. <b>text</b>\n",
    "a tag that never ends": "<b " + "x" * 60 + "\n",
    "quotes": "<b " + '"<b "' * 40 + "\n",
    "unclosed styles": "<style>\n",
    "unclosed titles": "<title>\n",
    "hidden paragraphs": "<p hidden></p>x",
    "comments that never end": "<!--",
}


@pytest.mark.parametrize("line", PAGES.values(), ids=PAGES)
def test_a_page_is_read_in_linear_time(line: str) -> None:
    """Row 59, other patterns: a page of 200 kB took seconds, and a plain sentence with `<b then` for ever."""
    started = time.process_time()
    without_hidden(line * (SIZE // len(line)), ())
    assert time.process_time() - started < 5


def test_a_plain_sentence_stays_as_it_is() -> None:
    """The same, for honest docs."""
    for text in ("If a <b then the loop ends.", "Use `x` when i <n and the list is not empty, else return."):
        assert without_hidden(text, ()) == text


def test_a_large_stylesheet_is_cut() -> None:
    """Row 59, in a stylesheet: its rules were searched again and again."""
    started = time.process_time()
    hiding_selectors("x" * SIZE)
    selectors = hiding_selectors(".note b, #ad {display: none}" * 10_000)
    assert selected_by(selectors, "p", {"id": "ad"})
    assert not selected_by(selectors, "p", {"id": "other"})
    assert len(selectors) <= 200
    assert time.process_time() - started < 2


INCLUDE = "```{include} %s\n```\n\n"
DARTDOC = "```{dartdoc}\n:package: p\n:symbol: A\n:file: a.dart\n```\n\n"
DART = "packages/p/lib/a.dart"
DOCS = {
    "options": {"doc/a.md": "```{note}\n" + ":a: b\n" * 45_000 + "```\n"},
    "definitions and sections": {
        "doc/a.md": "\n".join(f"[r{n}]: x" for n in range(20_000)) + "\n\n" + "## h\n\n" * 4_000
    },
    "labels that lead nowhere": {
        **{f"doc/p{n}.md": "# A\n\nx\n" for n in range(1_000)},
        "doc/z.md": "# A\n\n" + "{ref}`nolabel`\n" * 20_000,
    },
    "includes in includes": {
        "doc/a.md": "# A\n\n" + INCLUDE % "0.txt",
        **{f"doc/{n}.txt": INCLUDE % f"{n + 1}.txt" * 40 for n in range(5)},
    },
    "a large file again and again": {
        "doc/a.md": "# A\n\n" + INCLUDE % "b.txt" * 300,
        "doc/b.txt": ("x" * 99 + "\n") * 20_000,
    },
    "Dart: a long name": {"doc/a.md": DARTDOC, DART: "class A {\n  /// d\n  " + "a" * 19_000 + "-\n}\n"},
    "Dart: quotes": {"doc/a.md": DARTDOC, DART: "class A {\n" + ("'" + "\\'" * 9_000 + "\n") * 40 + "}\n"},
    "Dart: templates": {"doc/a.md": DARTDOC, DART: ("/// " + "{@" * 9_000 + "\n") * 40 + "class A {}\n"},
    "HTML: headings after paragraphs": {
        "doc/a.html": '<main><section id="s">'
        + "<p></p>" * 10_000
        + "".join(f'<h2 id="h{n}">x</h2>' for n in range(1_000))
    },
    "HTML: tags that nothing closes": {"doc/a.html": "<main>" + "<b><br>\n" * 45_000},
    "HTML: headings in headings": {
        "doc/a.html": "<main>" + "".join(f'<h1 id="h{n}"><div>' for n in range(60)) + "<i>x</i>" * 5_000
    },
}


@pytest.mark.parametrize("files", DOCS.values(), ids=DOCS)
def test_docs_are_read_in_linear_time(files: dict[str, str], tmp_path: Path) -> None:
    """Row 59's kind, in whole builds: includes in includes never ended, headings of HTML took hours."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    started = time.process_time()
    with open_tree(str(tmp_path)) as tree:
        read_docs(tree, "latest", quiet)
        assert tree.all_brought < 8 * 1024**2
    took = time.process_time() - started
    print(f"{took:.1f} s")
    assert took < 15
