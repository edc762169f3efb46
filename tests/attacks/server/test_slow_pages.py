"""Of attack 59's kind: pages that make reading them slow, found by a second attacker."""

from __future__ import annotations

import time

import pytest

from flame_server.docs.hidden import hiding_selectors, selected_by
from flame_server.docs.myst.visible import without_hidden

SIZE = 200_000
PAGES = {
    "a sentence": "If a <b then the loop ends here and nothing else happens at all. <b>text</b>\n",
    "a tag that never ends": "<b " + "x" * 60 + "\n",
    "quotes": "<b " + '"<b "' * 40 + "\n",
    "unclosed styles": "<style>\n",
    "unclosed titles": "<title>\n",
    "hidden paragraphs": "<p hidden></p>x",
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
