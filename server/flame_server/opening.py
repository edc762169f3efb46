"""The search service that settings ask for."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from flame_server.credentials import Credentials
from flame_server.embedding.choice import embedding_of
from flame_server.embedding.identity import NO_EMBEDDING, LocalQueries, Vectors
from flame_server.embedding.local import LocalEmbedder, return_free_memory
from flame_server.embedding.queries import KEPT_VECTORS
from flame_server.metrics import Metrics
from flame_server.qdrant.connection import QdrantTarget
from flame_server.recent import Recent
from flame_server.search import QuestionVectors, SearchService, open_searcher, question_vectors
from flame_server.settings import Settings
from flame_server.text.wordpiece import TokenCounter, load_tokenizer


def open_service(settings: Settings, credentials: Credentials, metrics: Metrics) -> SearchService:
    """The index in this process, or the one in Qdrant; that one may still be away.

    Raises:
        FlameMcpError: The index here cannot be opened, or the one in Qdrant was made with another model.
    """
    if settings.vector_store_type == "Embedded":
        embedding = embedding_of(settings, credentials)
        searcher = open_searcher(settings.index_dir, embedding, metrics.embedding_failed)
        metrics.serves(searcher.manifest.summary())
        return searcher
    return _open_qdrant(settings, credentials, metrics)


def qdrant_target(settings: Settings, credentials: Credentials) -> QdrantTarget:
    """The Qdrant server of the settings."""
    return QdrantTarget(
        settings.qdrant_url or "",
        settings.qdrant_collection or "",
        credentials.qdrant_api_key,
        settings.qdrant_ca_file,
    )


def _open_qdrant(settings: Settings, credentials: Credentials, metrics: Metrics) -> SearchService:
    from flame_server.qdrant.searcher import QdrantSearcher  # noqa: PLC0415 - only where it is used

    embedding = embedding_of(settings, credentials)
    wanted = NO_EMBEDDING
    vectors: QuestionVectors | None = None
    local = None
    if embedding == "Local":
        local = LocalEmbedder()
        wanted, vectors = local.identity, LocalVectors(local)
    elif embedding != "None":
        wanted = embedding.identity
        vectors = question_vectors(embedding, lambda: searcher.dimensions, metrics.embedding_failed)
    tokenizer = local.tokenizer if local else load_tokenizer()
    searcher = QdrantSearcher(
        qdrant_target(settings, credentials), wanted, vectors, TokenCounter(tokenizer), metrics.serves
    )
    asyncio.run(searcher.first_look())
    return_free_memory()
    return searcher


class LocalVectors:
    """Vectors of questions from the model in this process, which has a thread of its own."""

    def __init__(self, embedder: LocalQueries) -> None:
        self._embedder = embedder
        self._recent: Recent[str, Vectors] = Recent(KEPT_VECTORS)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")

    async def embed_query(self, text: str) -> Vectors:
        """See `QuestionVectors`."""
        vector = self._recent.get(text)
        if vector is None:
            loop = asyncio.get_running_loop()
            vector = await loop.run_in_executor(self._worker, self._embedder.embed_query, text)
            self._recent.keep(text, vector)
        return vector

    async def close(self) -> None:
        """See `QuestionVectors`."""
        self._worker.shutdown()
