"""Docs and questions that want answers without end (attack 10, finding M3)."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from fastmcp import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flame_server.search.local import Searcher
from tests.support.server.hostile_docs import COUNT, connected, indexed, sent, text_of

LONG = "Camera " + "word, " * 3200
pytestmark = pytest.mark.timeout(300)
# A page with NUL is refused as binary.
ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
BUDGETS = (500, 1000, 4000, 10_000)
# The smallest budget in bytes: an error has no more, so it has no more tokens either.
MOST_ERROR_BYTES = 500


def hostile_pages() -> dict[str, str]:
    deep = "\n\n".join(f"{'#' * level} {level} {LONG}\n\nA camera, level {level}." for level in range(1, 7))
    pages = {f"flame/page_{number}.md": deep.replace("camera", f"camera{number}") for number in range(20)}
    pages["flame/blanks.md"] = "# Camera blanks\n\n" + "```\ncamera" + " " * 15_000 + "\n" * 3 + "```\n"
    pages["flame/words.md"] = "# Camera words\n\n" + ("camera" + "x" * 19_000 + "\n\n") * 20
    pages["flame/quotes.md"] = "# Camera quotes\n\n" + ('camera "\\ \t' * 200 + "\n\n") * 20
    pages["flame/hangul.md"] = "# Camera hangul\n\n" + ("camera \ud55c\uae00\ub9d0" * 200 + "\n\n") * 20
    pages["flame/marks.md"] = "# Camera marks\n\n" + ("camera a" + "\u0301" * 900 + "\n\n") * 20
    pages[f"flame/{'camera.-' * 20}.md"] = "# Camera\n\nA camera with a long path.\n"
    pages["flame/" + "\U0001f3a5" * 60 + ".md"] = "# Camera\n\nA camera with an odd path.\n"
    return pages


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    return indexed(tmp_path_factory.mktemp("hostile"), hostile_pages())[0]


@pytest.fixture
async def client(searcher: Searcher) -> AsyncIterator[Client[Any]]:
    async with connected(searcher) as opened:
        yield opened


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("limit", [1, 20])
async def test_headings_of_19_kilobytes(client: Client[Any], budget: int, limit: int) -> None:
    """Attack 10: 343 kB for one result of 500 tokens, 6.85 MB for twenty."""
    cursor: str | None = None
    for _ in range(6):
        text = await sent(
            client, "get_flame_knowledge", query="camera", limit=limit, max_tokens=budget, cursor=cursor
        )
        assert COUNT(text) <= budget
        assert len(text.encode()) <= 8 * budget + 8
        answer = json.loads(text)
        assert answer["results"]
        cursor = answer["next_cursor"]
        if cursor is None:
            break


@pytest.mark.parametrize("budget", BUDGETS)
async def test_every_page_and_list_keeps_its_budget(client: Client[Any], budget: int) -> None:
    """Attack 10: list_flame_docs had 747 kB."""
    paths = []
    cursor: str | None = None
    while True:
        text = await sent(client, "list_flame_docs", max_tokens=budget, cursor=cursor)
        assert COUNT(text) <= budget
        listing = json.loads(text)
        paths += [page["path"] for page in listing["pages"]]
        cursor = listing["next_cursor"]
        if cursor is None:
            break
    assert len(paths) == len(set(paths)) == len(hostile_pages())
    for path in paths:
        text = await sent(client, "get_flame_page", path=path, max_tokens=budget)
        assert COUNT(text) <= budget
        assert json.loads(text)["content"]


async def test_a_page_of_quotes_is_read_to_its_end(client: Client[Any]) -> None:
    """Nothing is lost or said twice, however little fits."""
    said, cursor = "", None
    while True:
        answer = json.loads(
            await sent(client, "get_flame_page", path="flame/quotes.md", max_tokens=500, cursor=cursor)
        )
        said += answer["content"]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert said.count("camera") == 20 * 200


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_flame_page", {"path": "flame/page_0.md", "section": "none"}),
        ("get_flame_page", {"path": "flame/pag.md"}),
        ("get_flame_page", {"path": "\x00" * 299}),
        ("get_flame_page", {"path": "flame/page_0.md", "section": "\U0001f3a5" * 299}),
        ("get_flame_page", {"path": "camera", "version": "\x01" * 9000}),
        ("get_flame_knowledge", {"query": "x", "section": "\x01" * 9000}),
        ("list_flame_docs", {"version": "x" * 60_000}),
        ("list_flame_docs", {f"argument {number}" * 10: number for number in range(500)}),
        ("list_flame_docs", {"max_tokens": ["x" * 9000]}),
        ("get_flame_knowledge", {"query": ["x"] * 5000}),
    ],
)
async def test_errors_are_short(client: Client[Any], tool: str, arguments: dict[str, object]) -> None:
    """Attack 10: the text of an error had 570 kB."""
    result = await client.call_tool(tool, arguments, raise_on_error=False)
    text = text_of(result)
    assert result.is_error
    assert 0 < len(text.encode()) <= MOST_ERROR_BYTES
    assert COUNT(text) <= MOST_ERROR_BYTES


def test_headings_are_cut_with_all_that_repeats_them(searcher: Searcher) -> None:
    chunks = [found.chunk for found in searcher.search("camera", 100).found]
    for chunk in chunks:
        assert max(map(len, [chunk.title, chunk.heading, chunk.anchor, *chunk.breadcrumb])) <= 200
        assert len(chunk.id) <= 600
        assert len(chunk.content.encode()) <= 16_500
    assert len({chunk.id for chunk in chunks}) == len(chunks)


async def test_counts_in_an_index_that_lie(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes to Qdrant writes the stored counts, too."""
    answered = searcher.search

    def lying(*args: Any) -> Any:  # noqa: ANN401
        answer = answered(*args)
        found = [replace(hit, chunk=replace(hit.chunk, tokens=0)) for hit in answer.found]
        return replace(answer, found=found)

    monkeypatch.setattr(searcher, "search", lying)
    async with connected(searcher) as client:
        text = await sent(client, "get_flame_knowledge", query="camera quotes", limit=20, max_tokens=500)
    assert COUNT(text) <= 500
    assert json.loads(text)["results"]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.text(ANY, max_size=400), min_size=1, max_size=8),
    st.text(ANY, min_size=1, max_size=400),
    st.sampled_from(BUDGETS),
)
def test_no_text_breaks_a_budget(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], heading: str, budget: int
) -> None:
    import asyncio  # noqa: PLC0415

    page = f"# {heading}\n\ncamera\n\n" + "\n\n".join(texts * 5)
    opened, _ = indexed(tmp_path_factory.mktemp("any"), {"flame/page.md": page})

    async def ask() -> None:
        async with connected(opened) as client:
            for tool, arguments in (
                ("get_flame_knowledge", {"query": "camera flame page"}),
                ("get_flame_page", {"path": "flame/page.md"}),
                ("list_flame_docs", {}),
            ):
                assert COUNT(await sent(client, tool, max_tokens=budget, **arguments)) <= budget

    asyncio.run(ask())
