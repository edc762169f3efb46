"""Vectors of questions from a service: within seconds, or not at all."""

import asyncio
from collections.abc import Callable

from flame_server.embedding.breaker import CircuitBreaker
from flame_server.embedding.errors import EmbeddingError, Reason
from flame_server.embedding.identity import Vectors
from flame_server.embedding.service import EmbeddingService
from flame_server.recent import Recent

TIMEOUT_SECONDS = 3.0
# 3 MiB with 1,536 dimensions.
KEPT_VECTORS = 512


class QueryEmbedder:
    """Asks the service once a question; three failures in a row leave it alone for a while. One event loop.

    Args:
        service: Asks without retries: a second attempt would come too late for the question.
        dimensions: What the index holds now.
        failed: Hears why a question got no vector.
    """

    def __init__(
        self,
        service: EmbeddingService,
        dimensions: Callable[[], int],
        failed: Callable[[Reason], None],
        breaker: CircuitBreaker | None = None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._service = service
        self._dimensions = dimensions
        self._failed = failed
        self._breaker = breaker or CircuitBreaker()
        self._seconds = seconds
        self._recent: Recent[str, Vectors] = Recent(KEPT_VECTORS)

    async def embed_query(self, text: str) -> Vectors:
        """The unit vector of one question, shape [dimensions].

        Raises:
            EmbeddingError: There is none now.
        """
        known = self._recent.get(text)
        if known is not None:
            return known
        try:
            vector = await self._ask(text)
        except EmbeddingError as error:
            self._failed(error.reason)
            raise
        self._recent.keep(text, vector)
        return vector

    async def _ask(self, text: str) -> Vectors:
        if not self._breaker.admits():
            raise EmbeddingError(
                "open", "the embedding service has failed repeatedly and is left alone for now"
            )
        try:
            async with asyncio.timeout(self._seconds):
                vector = self._fitting((await self._service.embed([text])).vectors[0])
        except TimeoutError as error:
            self._breaker.failed()
            text = f"the embedding service did not answer within {self._seconds:g} s"
            raise EmbeddingError("timeout", text) from error
        except EmbeddingError:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return vector

    def _fitting(self, vector: Vectors) -> Vectors:
        dimensions = self._dimensions()
        if len(vector) == dimensions:
            return vector
        raise EmbeddingError(
            "dimensions",
            f"the embedding service gives {len(vector)} dimensions, the index has {dimensions}: "
            "set the dimensions that the index was built with",
        )

    async def close(self) -> None:
        """Ends the connections."""
        await self._service.close()
