"""Chunks in the embedded Qdrant engine, in memory-backed space of this process alone."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import qdrant_edge as qdrant

from flame_server.embedding.identity import Vectors
from flame_server.errors import FlameMcpError
from flame_server.index.files import IndexData
from flame_server.index.ranking import CANDIDATES, GROUP, LEXICAL, LEXICAL_WEIGHT, PASSAGES, VERSION, unit

_UPSERT_BATCH = 256


@dataclass(frozen=True)
class Hit:
    """A chunk's number in the index, and its score within [0, 1]."""

    number: int
    score: float


class Store:
    """The search engine over one index. Not for several threads at once (measured: they only contend)."""

    def __init__(self, data: IndexData) -> None:
        self._has_vectors = len(data.passages) > 0
        folder = tempfile.mkdtemp(prefix="flame-mcp-", dir=_scratch_space())
        try:
            self._shard = qdrant.EdgeShard.create(folder, _config(data.passages.shape[1]))
            for start in range(0, len(data.chunks), _UPSERT_BATCH):
                stop = min(start + _UPSERT_BATCH, len(data.chunks))
                points = [_point(data, number) for number in range(start, stop)]
                self._shard.update(qdrant.UpdateOperation.upsert_points(points))
        finally:
            # The engine has its files mapped: without names, nothing is left behind however the process ends.
            shutil.rmtree(folder, ignore_errors=True)

    def search(
        self,
        terms: dict[int, float],
        vector: Vectors | None,
        limit: int,
        group: str | None = None,
        version: str | None = None,
    ) -> list[Hit]:
        """The best chunks for lexical terms and, when there is one, a query vector; best first.

        A score is the cosine of the chunk's best passage (MaxSim) and `LEXICAL_WEIGHT` times its BM25 score.
        """
        where = _filter({GROUP: group, VERSION: version})
        depth = max(CANDIDATES, limit)
        prefetches: list[qdrant.Prefetch] = []
        parts: list[qdrant.Expression] = []
        if terms:
            sparse = qdrant.SparseVector(list(terms), list(terms.values()))
            query = qdrant.Query.Nearest(sparse, using=LEXICAL)
            parts.append(_score(len(prefetches), LEXICAL_WEIGHT))
            prefetches.append(qdrant.Prefetch(limit=depth, query=query, filter=where))
        if vector is not None and self._has_vectors:
            query = qdrant.Query.Nearest([vector.tolist()], using=PASSAGES)
            parts.append(_score(len(prefetches), 1.0))
            prefetches.append(qdrant.Prefetch(limit=depth, query=query, filter=where))
        if not prefetches:
            return []
        missing = {f"$score[{number}]": 0.0 for number in range(len(prefetches))}
        fusion = qdrant.Formula(qdrant.Expression.Sum(parts), missing)
        request = qdrant.QueryRequest(limit=limit, prefetches=prefetches, query=fusion)
        return [Hit(int(str(point.id)), unit(point.score)) for point in self._shard.query(request)]

    def close(self) -> None:
        """Gives the engine's memory back."""
        self._shard.close()


def _config(dimensions: int) -> qdrant.EdgeConfig:
    passages = qdrant.EdgeVectorParams(
        size=max(dimensions, 1),
        distance=qdrant.Distance.Dot,
        multivector_config=qdrant.MultiVectorConfig(qdrant.MultiVectorComparator.MaxSim),
    )
    return qdrant.EdgeConfig(
        vectors={PASSAGES: passages},
        sparse_vectors={LEXICAL: qdrant.EdgeSparseVectorParams()},
        max_search_threads=1,
        wal_enabled=False,
    )


def _point(data: IndexData, number: int) -> qdrant.Point:
    first, last = data.term_offsets[number : number + 2]
    sparse = qdrant.SparseVector(data.terms[first:last].tolist(), data.weights[first:last].tolist())
    vectors: dict[str, qdrant.NamedVector] = {LEXICAL: sparse}
    first, last = data.passage_offsets[number : number + 2]
    if last > first:
        vectors[PASSAGES] = data.passages[first:last].tolist()
    chunk = data.chunks[number]
    return qdrant.Point(number, vectors, {GROUP: chunk.group, VERSION: chunk.version})


def _score(number: int, weight: float) -> qdrant.Expression:
    score = qdrant.Expression.Variable(f"$score[{number}]")
    return qdrant.Expression.Mult([qdrant.Expression.Constant(weight), score])


def _filter(wanted: Mapping[str, str | None]) -> qdrant.Filter | None:
    conditions = [
        qdrant.FieldCondition(key=key, match=qdrant.MatchValue(value=value))
        for key, value in wanted.items()
        if value is not None
    ]
    return qdrant.Filter(must=[*conditions]) if conditions else None


def _scratch_space() -> str | None:
    """Where the engine's files may be: memory first, so that a read-only root file system is no obstacle.

    Raises:
        FlameMcpError: Nothing is writable.
    """
    for candidate in _candidates():
        if candidate.is_dir() and os.access(candidate, os.W_OK | os.X_OK):
            return str(candidate)
    raise FlameMcpError(
        "no writable folder for the search engine's working files: mount a tmpfs of 64 MB on /dev/shm or /tmp"
    )


def _candidates() -> Iterator[Path]:
    yield Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
    yield from _temporary_folders()


def _temporary_folders() -> Sequence[Path]:
    try:
        return [Path(tempfile.gettempdir())]
    except FileNotFoundError:
        return []
