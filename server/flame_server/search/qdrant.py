"""Searching an index in a Qdrant server, with the same ranking as the embedded engine. Only reads."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from flame_server.embedding.identity import EmbeddingIdentity, QueryEmbedder, Vectors
from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.index.files import StoredChunk, stored_chunk
from flame_server.index.manifest import Manifest, check_embedding, parse_manifest, safe_names
from flame_server.index.ranking import (
    ASKS,
    CANDIDATES,
    GROUP,
    LEXICAL,
    PASSAGES,
    PATH,
    VERSION,
    WEIGHTS,
    bounded_score,
)
from flame_server.lru_cache import LruCache
from flame_server.qdrant.connection import METADATA, QdrantTarget
from flame_server.qdrant.reading import Reading
from flame_server.search.pages import PageEntry, page_entry
from flame_server.search.query import embed_or_degrade, version_filter
from flame_server.search.service import Answer, Found
from flame_server.text.lexical import query_terms

if TYPE_CHECKING:
    from qdrant_client import models

# How long the alias is trusted: a new collection is noticed after this time, as probes come more often.
_FRESH_SECONDS = 10.0
# They are decoded in some milliseconds, on the event loop.
_SCROLLED = 50
# Of one page or version: a hundred times as many chunks as Flame has, in time, and as many characters as the
# largest page has, or the names of 25,000 pages.
_MOST_CHUNKS = 100_000
_MOST_CHARS = 4_000_000
_MOST_SECONDS = 30.0
_KEPT_LISTS = 4
_MOST_GROUPS = 1_000
_log = structlog.get_logger(__name__)


class MismatchError(UnavailableError):
    """The collection holds an index that this server cannot search."""


class QdrantSearcher:
    """See `SearchService`. Reads through the alias only, so a new index takes over between two queries.

    Args:
        target: The server and the alias.
        expected: The embedding that the collection must have been built with.
        embedder: Embeds queries; None searches lexically.
        count_tokens: Counts the tokens of a text.
        on_change: Called with the summary of the index when another one is served.
        clock: A monotonic clock, in seconds.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one service
        self,
        target: QdrantTarget,
        expected: EmbeddingIdentity,
        embedder: QueryEmbedder | None,
        count_tokens: Callable[[str], int],
        on_change: Callable[[dict[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.index: dict[str, Any] | None = None
        self._manifest: Manifest | None = None
        self.groups: Sequence[str] = ()
        self.count_tokens = count_tokens
        self.dimensions = 0
        self._target = target
        self._expected = expected
        self._embedder = embedder
        self._on_change = on_change
        self._clock = clock
        self._checked_at = clock() - _FRESH_SECONDS
        self._lock = asyncio.Lock()
        self._reading = Reading(target)
        self._pages: LruCache[str, Sequence[PageEntry]] = LruCache(_KEPT_LISTS)
        self._listing = asyncio.Lock()

    @property
    def versions(self) -> Sequence[str]:
        """See `SearchService`."""
        return [known.version for known in self._manifest.versions] if self._manifest else []

    def about(self, version: str | None) -> dict[str, Any]:
        """See `SearchService`."""
        return self._manifest.summary(version or self.versions[0]) if self._manifest else {}

    async def answer(
        self, query: str, limit: int, group: str | None = None, version: str | None = None
    ) -> Answer:
        """See `SearchService`."""
        await self.check()
        vector, degraded = await embed_or_degrade(query, self._embedder)
        where = {GROUP: group, VERSION: version_filter(version, self.versions)}
        request = _request(query_terms(query), vector, limit, where)
        if request is None:
            return Answer([], degraded)
        try:
            points = await self._reading.query(request)
            found = [Found(self._chunk(point), self._score(point)) for point in points]
        except UnavailableError:
            # Whatever the cause, the collection is checked again before the next query.
            self._checked_at = self._clock() - _FRESH_SECONDS
            raise
        numbered = sorted(zip(found, points, strict=True), key=lambda pair: (-pair[0].score, _order(pair[1])))
        return Answer([hit for hit, _ in numbered], degraded)

    async def page(self, path: str, version: str) -> Sequence[StoredChunk]:
        """See `SearchService`."""
        await self.check()
        found: list[StoredChunk] = []

        def keep(chunk: StoredChunk) -> int:
            found.append(chunk)
            return len(chunk.content) + len(chunk.url) + sum(map(len, chunk.asks))

        await self._read({PATH: path, VERSION: version}, keep)
        return found

    async def pages(self, version: str) -> Sequence[PageEntry]:
        """See `SearchService`. Cached for each index, because all chunks must be read; once at a time."""
        await self.check()
        async with self._listing:
            if (known := self._pages.get(version)) is None:
                index = self.index
                known = await self._listed(version)
                if index == self.index:
                    self._pages.put(version, known)
            return known

    async def _listed(self, version: str) -> Sequence[PageEntry]:
        found: dict[str, PageEntry] = {}

        def keep(chunk: StoredChunk) -> int:
            if chunk.source_path in found:
                return 0
            entry = found[chunk.source_path] = page_entry(chunk)
            return len(entry.path) + len(entry.title) + len(entry.url)

        await self._read({VERSION: version}, keep)
        return list(found.values())

    async def _read(self, wanted: Mapping[str, str | None], keep: Callable[[StoredChunk], int]) -> None:
        """Gives the chunks with these payload fields to `keep`, which returns how many characters it keeps.

        Raises:
            UnavailableError: There are too many, or Qdrant gives none.
        """
        from qdrant_client import models  # noqa: PLC0415 - see connect

        following: int | str | None = None
        kept = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOST_SECONDS):
                for _ in range(_MOST_CHUNKS // _SCROLLED):
                    points, following = await self._reading.scroll(
                        models.ScrollRequest(
                            filter=_filter(wanted), limit=_SCROLLED, offset=following, with_payload=True
                        )
                    )
                    kept += sum(keep(self._chunk(point)) for point in points)
                    if following is None:
                        return
                    if not points or kept > _MOST_CHARS:
                        break
        raise UnavailableError(f"{_where(self._target)} has too many chunks for one answer")

    def _chunk(self, point: Mapping[str, Any]) -> StoredChunk:
        try:
            return stored_chunk(point.get("payload") or {})
        except FlameMcpError as error:
            raise UnavailableError(f"{_where(self._target)}: {error}") from error

    def _score(self, point: Mapping[str, Any]) -> float:
        score = point.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
            raise UnavailableError(f"{_where(self._target)} gave a chunk without a score")
        return bounded_score(score)

    async def check(self) -> None:
        """See `SearchService`."""
        if self._fresh():
            return
        async with self._lock:
            if not self._fresh():
                await self._look()

    async def first_look(self) -> None:
        """Reads the index when the server starts, in an event loop of its own.

        Raises:
            MismatchError: The collection was built with another embedding. Waiting does not help.
        """
        try:
            await self._look()
        except MismatchError:
            raise
        except UnavailableError as error:
            _log.warning("not ready yet", problem=str(error))
        finally:
            await self.close()

    def _fresh(self) -> bool:
        return self.index is not None and self._clock() - self._checked_at < _FRESH_SECONDS

    async def _look(self) -> None:
        noted = await self._reading.metadata()
        kept = noted.get(METADATA) if isinstance(noted, dict) else None
        manifest, groups = _read(kept, self._target)
        self._refuse_other(manifest)
        summary = manifest.summary()
        if summary != self.index:
            self._pages = LruCache(_KEPT_LISTS)
            self._on_change(summary)
        self.index, self.groups, self._manifest = summary, groups, manifest
        self.dimensions = manifest.embedding.dimensions
        self._checked_at = self._clock()

    def _refuse_other(self, manifest: Manifest) -> None:
        try:
            check_embedding(manifest, self._expected, _where(self._target), "publish one made with that")
        except FlameMcpError as error:
            self.index = None
            raise MismatchError(str(error)) from error

    async def close(self) -> None:
        """See `SearchService`."""
        await self._reading.close()


def _where(target: QdrantTarget) -> str:
    return f"the collection {target.collection} at {target.url}"


def _read(kept: object, target: QdrantTarget) -> tuple[Manifest, Sequence[str]]:
    remedy = "load an index there with flame-mcp index publish"
    if not isinstance(kept, Mapping) or not isinstance(kept.get("groups"), list):
        raise UnavailableError(f"{_where(target)} holds no index of this server: {remedy}")
    try:
        manifest = parse_manifest(kept.get("manifest"), _where(target), remedy)
        return manifest, tuple(safe_names(_where(target), kept["groups"][:_MOST_GROUPS]))
    except FlameMcpError as error:
        raise MismatchError(str(error)) from error


def _filter(wanted: Mapping[str, str | None]) -> "models.Filter | None":
    from qdrant_client import models  # noqa: PLC0415 - see connect

    conditions: list[models.Condition] = [
        models.FieldCondition(key=key, match=models.MatchValue(value=value))
        for key, value in wanted.items()
        if value is not None
    ]
    return models.Filter(must=conditions) if conditions else None


def _request(
    terms: Mapping[int, float], vector: Vectors | None, limit: int, wanted: Mapping[str, str | None]
) -> "models.QueryRequest | None":
    """The same query as in `Store.search`; None when there is nothing to search for."""
    from qdrant_client import models  # noqa: PLC0415 - see connect

    where = _filter(wanted)
    queries: dict[str, Any] = {}
    if terms:
        queries[LEXICAL] = models.SparseVector(indices=list(terms), values=list(terms.values()))
    if vector is not None:
        queries |= {name: [vector.tolist()] for name in (PASSAGES, ASKS)}
    if not queries:
        return None
    depth = max(CANDIDATES, limit)
    prefetch = [
        models.Prefetch(query=query, using=name, filter=where, limit=depth) for name, query in queries.items()
    ]
    variables = [f"$score[{number}]" for number in range(len(queries))]
    parts: list[models.Expression] = [
        models.MultExpression(mult=[WEIGHTS[name], variable])
        for name, variable in zip(queries, variables, strict=True)
    ]
    fusion = models.FormulaQuery(
        formula=models.SumExpression(sum=parts), defaults=dict.fromkeys(variables, 0.0)
    )
    return models.QueryRequest(prefetch=prefetch, query=fusion, limit=limit, with_payload=True)


def _order(point: Mapping[str, Any]) -> tuple[bool, int, str]:
    """The order of points with equal scores: by their numbers, as a build gives them."""
    number = point.get("id")
    return (False, number, "") if isinstance(number, int) else (True, 0, str(number))
