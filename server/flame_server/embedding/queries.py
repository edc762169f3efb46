"""Embedding queries: with a service, within seconds or not at all, or with the local model in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flame_server.embedding.circuit_breaker import CircuitBreaker
from flame_server.embedding.errors import EmbeddingError, Reason
from flame_server.embedding.identity import BlockingQueryEmbedder, Vectors
from flame_server.embedding.service import EmbeddingService, ServiceModel
from flame_server.lru_cache import LruCache

TIMEOUT_SECONDS = 3.0
# 3 MiB with 1,536 dimensions.
CACHED_VECTORS = 512


class ServiceQueryEmbedder:
    """Embeds queries with a service, one request a query. For one event loop.

    After three failures in a row a circuit breaker stops requests for a while.

    Args:
        service: Must not retry: a second attempt would be too late for the query.
        dimensions: Returns the dimensions of the index in use.
        on_failure: Called with the reason when a query gets no vector.
        breaker: Replaces the circuit breaker, for tests.
        seconds: How long a request may take.
    """

    def __init__(
        self,
        service: EmbeddingService,
        dimensions: Callable[[], int],
        on_failure: Callable[[Reason], None],
        breaker: CircuitBreaker | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._service = service
        self._dimensions = dimensions
        self._on_failure = on_failure
        self._breaker = breaker or CircuitBreaker()
        self._seconds = seconds
        self._cache: LruCache[str, Vectors] = LruCache(CACHED_VECTORS)

    async def embed_query(self, text: str) -> Vectors:
        """The unit vector of one query, shape [dimensions].

        Raises:
            EmbeddingError: The service gives none now.
        """
        cached = self._cache.get(text)
        if cached is not None:
            return cached
        try:
            vector = await self._request(text)
        except EmbeddingError as error:
            self._on_failure(error.reason)
            raise
        self._cache.put(text, vector)
        return vector

    async def _request(self, text: str) -> Vectors:
        if not self._breaker.admits():
            raise EmbeddingError(
                "open", "the embedding service has failed repeatedly and is left alone for now"
            )
        try:
            async with asyncio.timeout(self._seconds):
                vector = self._checked((await self._service.embed([text])).vectors[0])
        except TimeoutError as error:
            self._breaker.failed()
            text = f"the embedding service did not answer within {self._seconds:g} s"
            raise EmbeddingError("timeout", text) from error
        except EmbeddingError:
            self._breaker.failed()
            raise
        except Exception:
            # A bug of ours must not make every query wait for it.
            self._breaker.failed()
            self._on_failure("service")
            raise
        self._breaker.succeeded()
        return vector

    def _checked(self, vector: Vectors) -> Vectors:
        dimensions = self._dimensions()
        if len(vector) == dimensions:
            return vector
        raise EmbeddingError(
            "dimensions",
            f"the embedding service gives {len(vector)} dimensions, the index has {dimensions}: "
            "set the dimensions that the index was built with",
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._service.close()


def service_query_embedder(
    model: ServiceModel, dimensions: Callable[[], int], on_failure: Callable[[Reason], None]
) -> ServiceQueryEmbedder:
    """Embeds queries with a model of a service; see `ServiceQueryEmbedder` for the arguments."""
    service = EmbeddingService(model, retries=0, seconds=TIMEOUT_SECONDS)
    return ServiceQueryEmbedder(service, dimensions, on_failure)


class ThreadedQueryEmbedder:
    """Embeds queries with a model in this process, in a thread of its own."""

    def __init__(self, embedder: BlockingQueryEmbedder) -> None:
        self._embedder = embedder
        self._cache: LruCache[str, Vectors] = LruCache(CACHED_VECTORS)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")

    async def embed_query(self, text: str) -> Vectors:
        """See `QueryEmbedder`."""
        vector = self._cache.get(text)
        if vector is None:
            loop = asyncio.get_running_loop()
            vector = await loop.run_in_executor(self._worker, self._embedder.embed_query, text)
            self._cache.put(text, vector)
        return vector

    async def close(self) -> None:
        """See `QueryEmbedder`."""
        self._worker.shutdown()
