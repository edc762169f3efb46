"""Queries that an embedding service embeds: cached, in time, or not at all."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.queries import ServiceQueryEmbedder
from flame_server.embedding.service import EmbeddingService, ServiceModel
from flame_server.errors import FlameMcpError
from flame_server.search.local import Searcher, open_searcher
from tests.support.server.embedding_service import DEPLOYMENT, StandIn, build_with_service


@pytest.fixture
async def searcher(small_docs: Path, tmp_path: Path, azure: ServiceModel) -> Searcher:
    await asyncio.to_thread(build_with_service, small_docs, tmp_path, azure)
    return open_searcher(tmp_path, azure)


async def test_questions_are_embedded_once(searcher: Searcher, stand_in: StandIn) -> None:
    first = await searcher.answer("Audio > Caching", 2)
    assert first.degraded is None
    assert first.found[0].chunk.title == "Caching"
    assert await searcher.answer("Audio > Caching", 2) == first
    assert len(stand_in.requests) == 2
    await searcher.close()


async def test_a_failing_service_degrades_to_words_and_is_then_left_alone(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(build_with_service, small_docs, tmp_path, azure)
    reasons: list[str] = []
    searcher = open_searcher(tmp_path, azure, reasons.append)
    stand_in.failures = [(500, {})] * 3
    for number in range(5):
        answer = await searcher.answer(f"private viewport {number}", 1)
        assert (answer.degraded, answer.found[0].chunk.title) == ("lexical", "Viewport")
    assert reasons == ["service"] * 3 + ["open"] * 2
    assert len(stand_in.requests) == 4
    assert "private" not in caplog.text
    await searcher.close()


async def test_a_slow_service_costs_a_question_only_its_timeout(
    azure: ServiceModel, stand_in: StandIn
) -> None:
    stand_in.stalled = threading.Event()
    reasons: list[str] = []
    asked = ServiceQueryEmbedder(EmbeddingService(azure, 0, 20), lambda: 8, reasons.append, seconds=0.05)
    with pytest.raises(EmbeddingError, match=r"within 0\.05 s"):
        await asked.embed_query("x")
    assert reasons == ["timeout"]
    stand_in.stalled.set()
    assert len(await asked.embed_query("x")) == 8
    await asked.close()


async def test_a_bug_of_ours_is_counted_and_opens_the_breaker(
    azure: ServiceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons: list[str] = []
    asked = ServiceQueryEmbedder(service := EmbeddingService(azure, 0, 20), lambda: 8, reasons.append)

    async def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(service, "embed", fail)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await asked.embed_query("x")
    with pytest.raises(EmbeddingError, match="left alone for now"):
        await asked.embed_query("x")
    assert reasons == [*["service"] * 3, "open"]
    await asked.close()


async def test_a_service_that_gives_other_dimensions_degrades(searcher: Searcher, stand_in: StandIn) -> None:
    stand_in.dimensions = 9
    assert (await searcher.answer("viewport", 1)).degraded == "lexical"
    await searcher.close()


@pytest.mark.parametrize("change", [{"model": "other"}, {"dimensions": 4}, {"type": "OpenAI"}])
async def test_an_index_of_another_model_is_refused(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, change: dict[str, str]
) -> None:
    await asyncio.to_thread(build_with_service, small_docs, tmp_path, azure)
    with pytest.raises(
        FlameMcpError, match=f"has embeddings of {DEPLOYMENT} .AzureOpenAI, 8 dim.*rebuild it with"
    ):
        open_searcher(tmp_path, replace(azure, **change))  # type: ignore[arg-type]
