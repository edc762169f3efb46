from flame_server.docs.folder import Page
from flame_server.docs.myst.markdown import fences_are_closed
from flame_server.docs.sections import (
    CHUNK_CHARS,
    PASSAGE_CHARS,
    Chunk,
    chunks_of,
    passages,
    sections_of,
    split_chunks,
)
from flame_server.docs.site import Site
from flame_server.index.build import lexical_text


def nothing(*_: object) -> str:
    return ""


def chunks(text: str, path: str = "flame/page.md") -> list[Chunk]:
    page = Page(path, text)
    site = Site("latest", [page])
    return list(chunks_of(path, sections_of(page, site, nothing), site))


def test_sections_carry_breadcrumb_anchor_and_link() -> None:
    found = chunks("# Page\n\ntop\n\n## `A`\n\n### Deep\n\nx\n\n## B\n\ny\n\n### Deep\n\nz\n")
    assert [(c.breadcrumb, c.heading, c.url.split("/latest/")[1], c.content) for c in found] == [
        (("Page",), "Page", "flame/page.html#page", "top"),
        (("Page", "A", "Deep"), "Deep", "flame/page.html#deep", "x"),
        (("Page", "B"), "B", "flame/page.html#b", "y"),
        (("Page", "B", "Deep"), "Deep", "flame/page.html#id1", "z"),
    ]
    assert len({c.id for c in found}) == 4
    assert {c.group for c in found} == {"flame"}


def test_text_above_the_first_heading_links_to_the_page() -> None:
    (chunk,) = chunks("hello\n\n# Empty", "index.md")
    assert (chunk.title, chunk.url, chunk.group) == (
        "Empty",
        "https://docs.flame-engine.org/latest/index.html",
        "general",
    )


def test_a_page_without_headings_is_named_after_its_file() -> None:
    (chunk,) = chunks("hello", "flame/my_page.md")
    assert chunk.title == "My page"


def test_long_sections_are_cut_between_paragraphs_and_never_inside_a_fence() -> None:
    code = "```dart\n" + "\n\n".join(f"line{n}();" for n in range(400)) + "\n```"
    body = "\n\n".join(["word " * 100] * 8 + [code] + ["more " * 100] * 8)
    parts = split_chunks(body)
    assert len(parts) > 2
    assert all(fences_are_closed(part) for part in parts)
    assert any(code in part for part in parts)
    assert all(len(part) <= CHUNK_CHARS for part in parts if "```" not in part)
    assert "\n\n".join(parts) == body


def test_one_endless_paragraph_is_cut_between_words() -> None:
    body = "word " * 2_000
    parts = split_chunks(body)
    assert all(0 < len(part) <= CHUNK_CHARS for part in parts)
    assert " ".join(parts).split() == body.split()


def test_addresses_of_links_are_not_searched() -> None:
    (chunk,) = chunks("# T\n\nSee [the docs](https://a.b/c_(d)#e), `f](x)` and <https://g.h>.")
    assert "[the docs](https://a.b/c_(d)#e)" in chunk.content
    assert passages(chunk) == ["T\nSee [the docs], `f](x)` and <https://g.h>."]
    assert "c_" not in lexical_text(chunk)


def test_passages_repeat_the_title_and_hold_all_of_the_text() -> None:
    (chunk,) = chunks("# T\n\n" + "\n\n".join(f"w{n} " * 60 for n in range(8)))
    found = passages(chunk)
    assert len(found) > 2
    assert all(p.startswith("T\n") and len(p) <= PASSAGE_CHARS * 1.6 for p in found)
    assert " ".join(p.removeprefix("T\n") for p in found).split() == chunk.content.split()
