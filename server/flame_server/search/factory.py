"""Opens the search service that the settings ask for."""

import asyncio
from typing import Any, Protocol

from flame_server.credentials import Credentials
from flame_server.embedding.choice import embedding_of
from flame_server.embedding.errors import Reason
from flame_server.embedding.identity import NO_EMBEDDING, QueryEmbedder
from flame_server.embedding.local import LocalEmbedder, return_free_memory
from flame_server.embedding.queries import ThreadedQueryEmbedder, service_query_embedder
from flame_server.qdrant.connection import qdrant_target
from flame_server.search.local import open_searcher
from flame_server.search.service import SearchService
from flame_server.settings import Settings
from flame_server.text.wordpiece import TokenCounter, load_tokenizer


class SearchMetrics(Protocol):
    """What a search reports to the metrics of its server."""

    def embedding_failed(self, reason: Reason) -> None:
        """Counts a query that got no vector."""
        ...

    def serves(self, index: dict[str, Any]) -> None:
        """Records which index is served."""
        ...


def open_search_service(
    settings: Settings, credentials: Credentials, metrics: SearchMetrics
) -> SearchService:
    """The index in this process, or the one in Qdrant, which may be unreachable at first.

    Raises:
        FlameMcpError: The index here cannot be opened, or the one in Qdrant was built with another model.
    """
    if settings.vector_store_type == "Embedded":
        embedding = embedding_of(settings, credentials)
        searcher = open_searcher(settings.index_dir, embedding, metrics.embedding_failed)
        metrics.serves(searcher.manifest.summary())
        return searcher
    return _open_qdrant(settings, credentials, metrics)


def _open_qdrant(settings: Settings, credentials: Credentials, metrics: SearchMetrics) -> SearchService:
    from flame_server.search.qdrant import QdrantSearcher  # noqa: PLC0415 - only where it is used

    embedding = embedding_of(settings, credentials)
    expected = NO_EMBEDDING
    embedder: QueryEmbedder | None = None
    local = None
    if embedding == "Local":
        local = LocalEmbedder()
        expected, embedder = local.identity, ThreadedQueryEmbedder(local)
    elif embedding != "None":
        expected = embedding.identity
        embedder = service_query_embedder(embedding, lambda: searcher.dimensions, metrics.embedding_failed)
    tokenizer = local.tokenizer if local else load_tokenizer()
    searcher = QdrantSearcher(
        qdrant_target(settings, credentials), expected, embedder, TokenCounter(tokenizer), metrics.serves
    )
    asyncio.run(searcher.first_look())
    return_free_memory()
    return searcher
