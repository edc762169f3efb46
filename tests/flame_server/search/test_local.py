import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from flame_server.embedding.identity import BlockingQueryEmbedder
from flame_server.errors import FlameMcpError
from flame_server.index import store
from flame_server.search.local import Searcher, open_searcher


def test_words_and_meaning_are_both_found(local_index: Path) -> None:
    searcher = open_searcher(local_index, "Local")
    by_word = searcher.search("viewport", 3)
    by_meaning = searcher.search("audio lag when an effect is heard initially", 3)
    assert by_word.found[0].chunk.title == "Viewport"
    assert by_meaning.found[0].chunk.title == "Caching"
    assert by_word.degraded is None
    assert all(0 <= found.score <= 1 for found in by_word.found)
    scores = [found.score for found in by_meaning.found]
    assert scores == sorted(scores, reverse=True)


def test_group_selects_pages(local_index: Path) -> None:
    searcher = open_searcher(local_index, "Local")
    assert searcher.groups == ("bridge", "flame")
    assert {found.chunk.group for found in searcher.search("camera viewport", 9, "bridge").found} == {
        "bridge"
    }


def test_a_broken_embedder_degrades_to_words(
    lexical_index: Path,
    searcher_over: Callable[..., Searcher],
    broken_embedder: BlockingQueryEmbedder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = searcher_over(lexical_index, broken_embedder).search("viewport", 2)
    assert answer.degraded == "lexical"
    assert answer.found[0].chunk.title == "Viewport"
    assert "embedding the query failed" in caplog.text


def test_a_query_without_terms_finds_nothing_by_words(lexical_index: Path) -> None:
    assert not open_searcher(lexical_index, "None").search("?! of the", 5).found


def test_two_searchers_share_one_index_and_leave_nothing(
    lexical_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_candidates", lambda: [tmp_path])
    first, second = open_searcher(lexical_index, "None"), open_searcher(lexical_index, "None")
    assert first.search("camera", 1).found == second.search("camera", 1).found
    assert not list(tmp_path.iterdir())
    asyncio.run(first.close())
    assert second.search("camera", 1).found


def test_nowhere_to_write_says_what_to_mount(lexical_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_candidates", lambda: [Path("/proc/nowhere")])
    with pytest.raises(FlameMcpError, match="mount a tmpfs"):
        open_searcher(lexical_index, "None")
