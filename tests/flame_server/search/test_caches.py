"""What is kept of answers and vectors, and for how long."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flame_server.embedding.identity import EmbeddingIdentity, Vectors
from flame_server.embedding.local import DIMENSIONS
from flame_server.embedding.queries import ThreadedQueryEmbedder
from flame_server.lru_cache import LruCache
from flame_server.search.local import Searcher, open_searcher


class CountedEmbedder:
    """Counts the questions that it embeds; `failing` ones it cannot."""

    identity = EmbeddingIdentity("Local", "counted", DIMENSIONS, "0")

    def __init__(self, failing: int = 0) -> None:
        self.asked: list[str] = []
        self.failing = failing

    def embed_query(self, text: str) -> Vectors:
        self.asked.append(text)
        if len(self.asked) <= self.failing:
            raise RuntimeError("not now")
        return np.ones(DIMENSIONS, dtype=np.float32)


def test_the_one_that_nobody_asked_for_longest_goes() -> None:
    recent: LruCache[str, int] = LruCache(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    recent.put("a", 4)
    recent.put("d", 5)
    assert [recent.get(key) for key in "acd"] == [4, None, 5]


async def test_the_same_question_is_searched_once(
    lexical_index: Path, searcher_over: Callable[..., Searcher]
) -> None:
    embedder = CountedEmbedder()
    searcher = searcher_over(lexical_index, embedder)
    first = await searcher.answer("viewport", 2)
    assert await searcher.answer("viewport", 2) is first
    assert embedder.asked == ["viewport"]
    assert len((await searcher.answer("viewport", 1)).found) == 1
    by_group = await searcher.answer("viewport", 2, "bridge")
    assert {found.chunk.group for found in by_group.found} <= {"bridge"}
    assert len(embedder.asked) == 3
    await searcher.close()


async def test_an_answer_by_words_alone_is_not_kept(
    lexical_index: Path, searcher_over: Callable[..., Searcher]
) -> None:
    searcher = searcher_over(lexical_index, CountedEmbedder(failing=1))
    assert (await searcher.answer("viewport", 2)).degraded == "lexical"
    assert (await searcher.answer("viewport", 2)).degraded is None
    await searcher.close()


async def test_kept_answers_are_bounded(lexical_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flame_server.search.local._CACHED_ANSWERS", 2)
    searcher = open_searcher(lexical_index, "None")
    first = await searcher.answer("one", 1)
    for query in ("two", "three"):
        await searcher.answer(query, 1)
    assert await searcher.answer("one", 1) is not first
    await searcher.close()


async def test_the_same_question_is_embedded_once() -> None:
    embedder = CountedEmbedder()
    vectors = ThreadedQueryEmbedder(embedder)
    assert await vectors.embed_query("viewport") is await vectors.embed_query("viewport")
    await vectors.embed_query("camera")
    assert embedder.asked == ["viewport", "camera"]
    await vectors.close()
