"""The embedded Qdrant engine, loaded with the chunks of an index, in memory of this process."""

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
from flame_server.index.ranking import (
    ASKS,
    CANDIDATES,
    GROUP,
    LEXICAL,
    PASSAGES,
    VERSION,
    WEIGHTS,
    bounded_score,
)

_UPSERT_BATCH = 256


@dataclass(frozen=True)
class Hit:
    """A chunk's number in the index, and its score within [0, 1]."""

    number: int
    score: float


class Store:
    """The search engine of one index. For one thread at a time (measured: more only contend)."""

    def __init__(self, data: IndexData) -> None:
        self._has_vectors = len(data.passages.values) > 0
        folder = tempfile.mkdtemp(prefix="flame-mcp-", dir=_scratch_space())
        try:
            self._shard = qdrant.EdgeShard.create(folder, _config(data.passages.values.shape[1]))
            for start in range(0, len(data.chunks), _UPSERT_BATCH):
                stop = min(start + _UPSERT_BATCH, len(data.chunks))
                points = [_point(data, number) for number in range(start, stop)]
                self._shard.update(qdrant.UpdateOperation.upsert_points(points))
        finally:
            # The engine has mapped its files, so they can be deleted now: nothing is left behind however the
            # process ends.
            shutil.rmtree(folder, ignore_errors=True)

    def search(
        self,
        terms: dict[int, float],
        vector: Vectors | None,
        limit: int,
        group: str | None = None,
        version: str | None = None,
    ) -> list[Hit]:
        """The best chunks for lexical terms and, if given, a query vector; best first.

        A score is the weighted sum of BM25, the cosine of the chunk's best passage (MaxSim), and the cosine
        of its best expected question.
        """
        where = _filter({GROUP: group, VERSION: version})
        queries: dict[str, qdrant.Query] = {}
        if terms:
            sparse = qdrant.SparseVector(list(terms), list(terms.values()))
            queries[LEXICAL] = qdrant.Query.Nearest(sparse, using=LEXICAL)
        if vector is not None and self._has_vectors:
            for name in (PASSAGES, ASKS):
                queries[name] = qdrant.Query.Nearest([vector.tolist()], using=name)
        if not queries:
            return []
        depth = max(CANDIDATES, limit)
        request = qdrant.QueryRequest(
            limit=limit,
            prefetches=[
                qdrant.Prefetch(limit=depth, query=query, filter=where) for query in queries.values()
            ],
            query=_weighted_sum(list(queries)),
        )
        hits = [Hit(int(str(point.id)), bounded_score(point.score)) for point in self._shard.query(request)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.number))

    def close(self) -> None:
        """Frees the engine's memory."""
        self._shard.close()


def _config(dimensions: int) -> qdrant.EdgeConfig:
    best_of_several = qdrant.EdgeVectorParams(
        size=max(dimensions, 1),
        distance=qdrant.Distance.Dot,
        multivector_config=qdrant.MultiVectorConfig(qdrant.MultiVectorComparator.MaxSim),
    )
    return qdrant.EdgeConfig(
        vectors={PASSAGES: best_of_several, ASKS: best_of_several},
        sparse_vectors={LEXICAL: qdrant.EdgeSparseVectorParams()},
        max_search_threads=1,
        wal_enabled=False,
    )


def _point(data: IndexData, number: int) -> qdrant.Point:
    sparse = qdrant.SparseVector(data.terms.of(number).tolist(), data.weights.of(number).tolist())
    vectors: dict[str, qdrant.NamedVector] = {LEXICAL: sparse}
    for name, rows in ((PASSAGES, data.passages), (ASKS, data.asks)):
        if len(found := rows.of(number)):
            vectors[name] = found.tolist()
    chunk = data.chunks[number]
    return qdrant.Point(number, vectors, {GROUP: chunk.group, VERSION: chunk.version})


def _weighted_sum(names: Sequence[str]) -> qdrant.Formula:
    """Adds the weighted scores of the prefetches; a chunk that is missing in one scores 0 there."""
    variables = [f"$score[{number}]" for number in range(len(names))]
    parts = [
        qdrant.Expression.Mult(
            [qdrant.Expression.Constant(WEIGHTS[name]), qdrant.Expression.Variable(variable)]
        )
        for name, variable in zip(names, variables, strict=True)
    ]
    return qdrant.Formula(qdrant.Expression.Sum(parts), dict.fromkeys(variables, 0.0))


def _filter(wanted: Mapping[str, str | None]) -> qdrant.Filter | None:
    conditions = [
        qdrant.FieldCondition(key=key, match=qdrant.MatchValue(value=value))
        for key, value in wanted.items()
        if value is not None
    ]
    return qdrant.Filter(must=[*conditions]) if conditions else None


def _scratch_space() -> str | None:
    """A folder for the engine's files: in memory if possible, so that a read-only root file system works.

    Raises:
        FlameMcpError: No folder is writable.
    """
    for candidate in _candidates():
        if candidate.is_dir() and os.access(candidate, os.W_OK | os.X_OK):
            return str(candidate)
    raise FlameMcpError(
        "no writable folder for the search engine's working files: mount a tmpfs of 64 MB on /dev/shm or /tmp"
    )


def _candidates() -> Iterator[Path]:
    yield Path("/dev/shm")  # noqa: S108 - mkdtemp creates a private folder in it
    yield from _temporary_folders()


def _temporary_folders() -> Sequence[Path]:
    try:
        return [Path(tempfile.gettempdir())]
    except FileNotFoundError:
        return []
