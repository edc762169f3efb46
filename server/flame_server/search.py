"""Searching an index: the query's terms and vector, the engine, and the chunks behind its numbers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flame_server.embedding import NO_EMBEDDING, Embedder, LocalEmbedder, return_free_memory
from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.files import IndexData, StoredChunk
from flame_server.index.manifest import Manifest, check_embedding, read_manifest, rebuild_hint
from flame_server.index.store import Store
from flame_server.text.lexical import query_vector
from flame_server.text.wordpiece import TokenCounter, load_tokenizer

EmbeddingType = Literal["Local", "None"]
Degraded = Literal["lexical"] | None
_NOTHING_MISSING: Degraded = None
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A chunk and its score within [0, 1], comparable within one answer only."""

    chunk: StoredChunk
    score: float


@dataclass(frozen=True)
class Answer:
    """Chunks, best first; `degraded` says what was done without."""

    found: Sequence[Found]
    degraded: Degraded


class Searcher:
    """An index ready to answer. One thread at a time."""

    def __init__(
        self, manifest: Manifest, data: IndexData, embedder: Embedder | None, count_tokens: TokenCounter
    ) -> None:
        self.manifest = manifest
        self.count_tokens = count_tokens
        self.groups = tuple(sorted({chunk.group for chunk in data.chunks}))
        self._chunks = data.chunks
        self._embedder = embedder
        self._store = Store(data)

    def search(self, query: str, limit: int, group: str | None = None) -> Answer:
        """The `limit` best chunks for a query, of one group of pages when it is given."""
        vector, degraded = None, _NOTHING_MISSING
        if self._embedder is not None:
            try:
                vector = self._embedder.embed_query(query)
            # An answer by words alone is worth more than none, whatever the reason.
            except Exception:  # noqa: BLE001
                _log.exception("embedding the query failed, answering lexically")
                degraded = "lexical"
        hits = self._store.search(query_vector(query), vector, limit, group)
        return Answer([Found(self._chunks[hit.number], hit.score) for hit in hits], degraded)

    def close(self) -> None:
        """Gives the engine's memory back."""
        self._store.close()


def open_searcher(folder: Path, embedding: EmbeddingType) -> Searcher:
    """The index in `folder`, opened for search with the embedding type that the settings ask for.

    Raises:
        FlameMcpError: No index, a damaged one, or one made with another model or format.
    """
    manifest = read_manifest(folder)
    if embedding == "Local" and manifest.embedding == NO_EMBEDDING:
        # Said before the model is loaded: it cannot fit, whichever it is.
        raise FlameMcpError(
            f"the index in {folder} was built without embeddings: {rebuild_hint(folder)}, "
            "or search it lexically with FLAME_MCP_EMBEDDING_TYPE=None"
        )
    tokenizer = load_tokenizer()
    embedder = LocalEmbedder(tokenizer=tokenizer) if embedding == "Local" else None
    if embedder is not None:
        check_embedding(manifest, embedder.identity, folder)
    searcher = Searcher(manifest, _read(folder, manifest), embedder, TokenCounter(tokenizer))
    return_free_memory()
    return searcher


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
