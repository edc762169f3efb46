"""Qdrant, or whoever writes to it, that answers a build which asks for the vectors of the published index."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from flame_server.embedding.identity import EmbeddingIdentity
from flame_server.index.files import StoredChunk
from flame_server.index.ranking import ASKS, PASSAGES
from flame_server.qdrant import reuse
from flame_server.qdrant.connection import QdrantTarget

IDENTITY = EmbeddingIdentity("OpenAI", "m", 2, "f")
TARGET = QdrantTarget("http://qdrant:6333", "docs")
GOOD = [0.6, 0.8]


def points(*vectors: object) -> list[SimpleNamespace]:
    chunks = [
        StoredChunk(
            id=f"c{number}",
            title=f"Title {number}",
            heading=f"Title {number}",
            breadcrumb=(f"Title {number}",),
            anchor="a",
            url="https://docs.example.com/a",
            source_path="a.md",
            version="1.0",
            group="general",
            content=f"Words {number}",
            part=0,
            asks=(),
            tokens=2,
        )
        for number in range(len(vectors))
    ]
    return [
        SimpleNamespace(
            payload=json.loads(json.dumps(asdict(chunk))), vector={PASSAGES: vector, ASKS: vector}
        )
        for chunk, vector in zip(chunks, vectors, strict=True)
    ]


class Qdrant:
    """Answers each question for points with the next of these pages."""

    def __init__(self, pages: Any) -> None:  # noqa: ANN401 - whatever it says
        self.pages, self.asked = iter(pages), 0

    async def scroll(self, *_: object, **__: object) -> tuple[Any, Any]:
        self.asked += 1
        page: tuple[Any, Any] = next(self.pages)
        return page


def published(monkeypatch: pytest.MonkeyPatch, qdrant: Qdrant) -> tuple[dict[bytes, Any], list[str]]:
    said: list[str] = []

    @asynccontextmanager
    async def client(*_: object) -> AsyncIterator[Qdrant]:
        yield qdrant

    async def known(*_: object) -> Any:  # noqa: ANN401 - of no interest
        return [SimpleNamespace(name="docs__1", manifest=SimpleNamespace(embedding=IDENTITY))]

    async def current(*_: object) -> str:
        return "docs__1"

    monkeypatch.setattr(reuse, "retrying_client", client)
    monkeypatch.setattr(reuse, "generations", known)
    monkeypatch.setattr(reuse, "alias_target", current)
    return dict(reuse.published_vectors(TARGET, IDENTITY, said.append)), said


def test_honest_vectors_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    found, said = published(monkeypatch, Qdrant([(points([GOOD], [GOOD]), None)]))
    assert len(found) == 4
    assert not said


def test_a_list_of_points_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read until the Job's deadline, or until its memory was full, so that docs were never loaded."""
    monkeypatch.setattr(reuse, "MOST_POINTS", 100)
    qdrant = Qdrant((points([GOOD]) * 64, n) for n in itertools.count(1))
    found, said = published(monkeypatch, qdrant)
    assert qdrant.asked == 2
    assert found
    assert "more than 100" in said[0]


@pytest.mark.parametrize(
    "bad",
    [
        [[0.6, 0.8, 0.0]],
        [[0.6]],
        [[]],
        [[1e999, 0.0]],
        [[float("nan"), 0.0]],
        [[1e39, 0.0]],
        [[[0.6, 0.8]]],
        [GOOD, GOOD],
        None,
        "x",
        [["a", "b"]],
        [{"a": 1}],
    ],
    ids=str,
)
def test_vectors_that_are_none(monkeypatch: pytest.MonkeyPatch, bad: object) -> None:
    """They ended up in the index, or made the build fail: it is embedded anew."""
    found, _ = published(monkeypatch, Qdrant([(points([GOOD], bad), None)]))
    assert len(found) == 2
    assert all(vector.tolist() == pytest.approx(GOOD) for vector in found.values())
