import pytest

from flame_server.docs.myst.markdown import (
    clean,
    fence,
    fences_are_closed,
    headings,
    parse,
    plain_text,
    split_blocks,
)


def test_only_top_level_headings_outside_code_cut_a_page() -> None:
    code = "```dart\n# code\n```\n\n- item\n\n      # indented code\n\n> # quoted"
    text = f"# One\n\n{code}\n\nTwo\n---\n\n### `Three` **x** #\n"
    assert [(h.level, h.source, h.text) for h in headings(parse(text))] == [
        (1, "One", "One"),
        (2, "Two", "Two"),
        (3, "`Three` **x**", "Three x"),
    ]


def test_headings_in_directives_cut_no_page() -> None:
    text = ":::{note}\n# In colons\n:::\n\n```{note}\n# In ticks\n```\n\n# Page\n"
    assert [h.text for h in headings(parse(text))] == ["Page"]


@pytest.mark.parametrize(
    "text", ["%", "% c\n\n", "% c\n  ", "+++", "(a)=", ":::", ":::{", "[a]:", "> %\n>\n"]
)
def test_pieces_of_markup_alone_are_parsed(text: str) -> None:
    assert not list(headings(parse(text)))


def test_a_heading_is_read_as_the_site_shows_it() -> None:
    (heading,) = headings(parse('# A `x`\'s {ref}`end <e>` [of][r] "it" -- or...\n\n[r]: x.md'))
    assert heading.text == 'A x\'s end of "it" -- or...'
    assert heading.typeset == "A x\u2019s end of \u201cit\u201d \u2013 or\u2026"


def test_a_longer_fence_may_hold_shorter_ones() -> None:
    text = "`````markdown\n```dart\n# no\n```\n# no\n`````\n# Yes\n"
    assert [h.text for h in headings(parse(text))] == ["Yes"]


def test_plain_text_keeps_code_and_drops_marks() -> None:
    assert plain_text("`<<declare>>` and [a *link*](x.md) &amp; more") == "<<declare>> and a link & more"


def test_clean_drops_what_cannot_be_seen() -> None:
    assert clean("\ufeff---\ntitle: x\n---\na\u200bb\x00c\u202ed\r\ne\rf\u00ad\tg") == "abcd\ne\nf\tg"


def test_blocks_are_cut_at_blank_lines_outside_fences_only() -> None:
    text = "a\nb\n\n- 1. ```dart\n  one\n\n  two\n  ```\n\n\n~~~\n```\n\n~~~\nc"
    assert split_blocks(text) == ["a\nb", "- 1. ```dart\n  one\n\n  two\n  ```", "~~~\n```\n\n~~~\nc"]


def test_a_made_fence_is_closed_whatever_it_holds() -> None:
    made = fence("x\n````\ny\n", "dart")
    assert made == "`````dart\nx\n````\ny\n`````"
    assert fences_are_closed(made)
    assert not fences_are_closed(made.removesuffix("`"))
