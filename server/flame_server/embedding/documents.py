"""Embedding all passages of a build with a service: in batches, with retries, and with a line on the cost."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from flame_server.embedding.identity import EmbeddingIdentity, Progress, Vectors, no_progress
from flame_server.embedding.service import Embedded, EmbeddingService, ServiceModel

# The service accepts 2,048 texts and 300,000 tokens a request; smaller requests show progress, and a retry
# costs less.
MAX_TEXTS = 512
MAX_TOKENS = 100_000
# A cautious estimate: English and code have about four bytes a token.
_BYTES_PER_TOKEN = 2
_RETRIES = 8
_SECONDS = 60.0
# US dollars for a million tokens, as published by OpenAI and Azure in 2026.
_PRICES = {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.10}


class DocumentEmbedder:
    """Embeds the passages of a build; `report` is called with a line on the cost."""

    def __init__(self, model: ServiceModel, report: Callable[[str], None]) -> None:
        self._model = model
        self._report = report

    @property
    def identity(self) -> EmbeddingIdentity:
        """See `Embedder`. Without dimensions when only the service knows them."""
        return self._model.identity

    def embed(self, texts: Sequence[str], progress: Progress = no_progress) -> Vectors:
        """See `Embedder`.

        Raises:
            EmbeddingError: The service still fails after the retries.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        parts = asyncio.run(self._embed(texts, progress))
        self._report(cost(sum(part.tokens for part in parts), parts[0].model))
        return np.concatenate([part.vectors for part in parts])

    async def _embed(self, texts: Sequence[str], progress: Progress) -> list[Embedded]:
        service = EmbeddingService(self._model, _RETRIES, _SECONDS, MAX_TEXTS)
        parts: list[Embedded] = []
        done = 0
        try:
            for batch in batches(texts):
                parts.append(await service.embed(batch))
                done += len(batch)
                progress(done)
        finally:
            await service.close()
        return parts


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Consecutive texts, grouped so that each group fits into one request."""
    start = tokens = 0
    for number, text in enumerate(texts):
        size = len(text.encode()) // _BYTES_PER_TOKEN + 1
        if number > start and (number - start == MAX_TEXTS or tokens + size > MAX_TOKENS):
            yield texts[start:number]
            start, tokens = number, 0
        tokens += size
    if start < len(texts):
        yield texts[start:]


def cost(tokens: int, model: str) -> str:
    """The tokens that a build used, in words, with the price if the model has a published one."""
    price = next((price for name, price in _PRICES.items() if model.startswith(name)), None)
    dollars = "" if price is None else f", about ${tokens / 1_000_000 * price:.4f} at its list price"
    return f"{tokens:,} tokens of {model}{dollars}"
