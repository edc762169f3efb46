"""Searching an index in this process, with the embedded Qdrant engine."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

from flame_server.embedding.errors import Reason
from flame_server.embedding.identity import NO_EMBEDDING, BlockingQueryEmbedder, QueryEmbedder, Vectors
from flame_server.embedding.local import LocalEmbedder, return_free_memory
from flame_server.embedding.queries import service_query_embedder
from flame_server.embedding.service import ServiceModel
from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.files import IndexData, StoredChunk
from flame_server.index.manifest import Manifest, check_embedding, read_manifest, rebuild_hint, safe_names
from flame_server.index.store import Store
from flame_server.lru_cache import LruCache
from flame_server.search.pages import PageEntry, page_entries
from flame_server.search.query import embed_or_degrade, version_filter
from flame_server.search.service import Answer, Degraded, Found
from flame_server.text.lexical import query_terms
from flame_server.text.wordpiece import TokenCounter, load_tokenizer

EmbeddingChoice = Literal["Local", "None"] | ServiceModel
_NOT_DEGRADED: Degraded = None
_RANKED = 101
# Answers hold references to chunks and scores: 512 take less than 2 MiB with 20 passages each.
_CACHED_ANSWERS = 512
_log = logging.getLogger(__name__)


def _ignore_failure(reason: Reason) -> None:
    del reason


class Searcher:
    """An index in this process. The engine is not thread-safe, so it has one worker thread of its own.

    Args:
        embedder: Embeds queries in this process, in that same thread.
        query_embedder: Embeds queries elsewhere, with a service.
    """

    def __init__(
        self,
        manifest: Manifest,
        data: IndexData,
        embedder: BlockingQueryEmbedder | None,
        count_tokens: TokenCounter,
        query_embedder: QueryEmbedder | None = None,
    ) -> None:
        self.manifest = manifest
        self.index: dict[str, Any] | None = manifest.summary()
        self.versions: Sequence[str] = tuple(known.version for known in manifest.versions)
        groups = sorted({chunk.group for chunk in data.chunks})
        self.groups: Sequence[str] = tuple(safe_names("the index", groups))
        self.count_tokens = count_tokens
        self._chunks = data.chunks
        # By page, because a list of all chunks would be searched on the event loop.
        self._by_page: dict[tuple[str, str], list[StoredChunk]] = {}
        for chunk in data.chunks:
            self._by_page.setdefault((chunk.source_path, chunk.version), []).append(chunk)
        self._pages = {
            version: page_entries(chunk for chunk in data.chunks if chunk.version == version)
            for version in self.versions
        }
        self._embedder = embedder
        self._query_embedder = query_embedder
        self._store = Store(data)
        # The index of a process never changes, so cached answers never become stale.
        self._cache: LruCache[tuple[str, int, str | None, str | None], Answer] = LruCache(_CACHED_ANSWERS)
        # One thread: the engine gains nothing from a second (measured), and memory stays flat under load.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="search")

    def about(self, version: str | None) -> dict[str, Any]:
        """See `SearchService`."""
        return self.manifest.summary(version or self.versions[0])

    async def answer(
        self, query: str, limit: int, group: str | None = None, version: str | None = None
    ) -> Answer:
        """See `SearchService`."""
        key = query, limit, group, version
        answer = self._cache.get(key)
        if answer is None:
            answer = await self._search(query, limit, group, version)
            if answer.degraded is None:
                self._cache.put(key, answer)
        return answer

    async def _search(self, query: str, limit: int, group: str | None, version: str | None) -> Answer:
        loop = asyncio.get_running_loop()
        if self._query_embedder is None:
            return await loop.run_in_executor(
                self._worker, partial(self.search, query, limit, group, version)
            )
        vector, degraded = await embed_or_degrade(query, self._query_embedder)
        found = await loop.run_in_executor(
            self._worker, partial(self._rank, query, vector, limit, group, version)
        )
        return Answer(found, degraded)

    def search(self, query: str, limit: int, group: str | None = None, version: str | None = None) -> Answer:
        """The answer, computed in the calling thread. Never call it while another search is running."""
        vector, degraded = None, _NOT_DEGRADED
        if self._embedder is not None:
            try:
                vector = self._embedder.embed_query(query)
            # As in embed_or_degrade.
            except Exception:  # noqa: BLE001
                _log.exception("embedding the query failed, answering lexically")
                degraded = "lexical"
        return Answer(self._rank(query, vector, limit, group, version), degraded)

    def _rank(
        self, query: str, vector: Vectors | None, limit: int, group: str | None, version: str | None
    ) -> Sequence[Found]:
        wanted = version_filter(version, self.versions)
        # Always the same number: with another limit the engine may order equal scores differently.
        hits = self._store.search(query_terms(query), vector, max(limit, _RANKED), group, wanted)
        return [Found(self._chunks[hit.number], hit.score) for hit in hits[:limit]]

    async def page(self, path: str, version: str) -> Sequence[StoredChunk]:
        """See `SearchService`."""
        return self._by_page.get((path, version), [])

    async def pages(self, version: str) -> Sequence[PageEntry]:
        """See `SearchService`."""
        return self._pages.get(version, [])

    async def check(self) -> None:
        """See `SearchService`. The index is in memory, so there is nothing to check."""

    async def close(self) -> None:
        """See `SearchService`."""
        self._worker.shutdown()
        self._store.close()
        if self._query_embedder is not None:
            await self._query_embedder.close()


def open_searcher(
    folder: Path, embedding: EmbeddingChoice, on_failure: Callable[[Reason], None] = _ignore_failure
) -> Searcher:
    """Opens the index in `folder` for search.

    Args:
        folder: An index that `build_index` wrote.
        embedding: How queries are embedded.
        on_failure: Called with the reason when an embedding service returns no vector.

    Raises:
        FlameMcpError: There is no index, it is damaged, or it was built with another model or format.
    """
    manifest = read_manifest(folder)
    if embedding != "None" and manifest.embedding == NO_EMBEDDING:
        # Checked before the model is loaded: no model can fit.
        raise FlameMcpError(
            f"the index in {folder} was built without embeddings: {rebuild_hint(folder)}, "
            "or search it lexically with FLAME_MCP_EMBEDDING_TYPE=None"
        )
    embedder, query_embedder = None, None
    if embedding == "Local":
        # First of all: loading the model needs the most memory for a moment.
        embedder = LocalEmbedder()
        check_embedding(manifest, embedder.identity, *_described(folder))
    elif embedding != "None":
        check_embedding(manifest, embedding.identity, *_described(folder))
        query_embedder = service_query_embedder(embedding, lambda: manifest.embedding.dimensions, on_failure)
    tokenizer = embedder.tokenizer if embedder else load_tokenizer()
    searcher = Searcher(manifest, _read(folder, manifest), embedder, TokenCounter(tokenizer), query_embedder)
    return_free_memory()
    return searcher


def _described(folder: Path) -> tuple[str, str]:
    return f"the index in {folder}", rebuild_hint(folder)


def _read(folder: Path, manifest: Manifest) -> IndexData:
    try:
        return files.read(folder / manifest.generation)
    except FlameMcpError as error:
        # A build may have switched generations between the manifest and the files.
        current = read_manifest(folder)
        if current.generation != manifest.generation:
            raise FlameMcpError(
                f"the index in {folder} was replaced while it was read: start again"
            ) from error
        raise FlameMcpError(f"{error}: {rebuild_hint(folder)}") from error
