"""Embedding all passages of a build with a service: in batches, with retries, and with a line on the cost."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.identity import EmbeddingIdentity, Progress, Vectors, no_progress
from flame_server.embedding.protocol.refusals import MAY_BE_SIZE
from flame_server.embedding.service import Embedded, EmbeddingService, ServiceModel

# OpenAI accepts 2,048 texts and 300,000 tokens a request. Other services take less, or long for so many.
USUAL_TEXTS = 64
MAX_TOKENS = 100_000
# A cautious estimate: English and code have about four bytes a token.
_BYTES_PER_TOKEN = 2
_RETRIES = 8
_SECONDS = 60.0
# US dollars for a million tokens, as published by OpenAI and Azure in 2026.
_PRICES = {"text-embedding-3-small": 0.02, "text-embedding-3-large": 0.13, "text-embedding-ada-002": 0.10}


class DocumentEmbedder:
    """Embeds the passages of a build; `report` is called with lines on batches and the cost."""

    def __init__(self, model: ServiceModel, report: Callable[[str], None]) -> None:
        self._model = model
        self._report = report
        self._size = model.batch_size or USUAL_TEXTS

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
        counts = [part.tokens for part in parts if part.tokens is not None]
        self._report(cost(sum(counts) if len(counts) == len(parts) else None, parts[0].model))
        return np.concatenate([part.vectors for part in parts])

    async def _embed(self, texts: Sequence[str], progress: Progress) -> list[Embedded]:
        service = EmbeddingService(self._model, _RETRIES, _SECONDS, self._size)
        parts: list[Embedded] = []
        done = 0
        try:
            while done < len(texts):
                batch = next_batch(texts, done, self._size)
                part = await self._part(service, batch)
                if part is None:
                    continue
                _check_same(part, parts)
                parts.append(part)
                done += len(batch)
                progress(done)
        finally:
            await service.close()
        return parts

    async def _part(self, service: EmbeddingService, batch: Sequence[str]) -> Embedded | None:
        """The vectors of a batch; None, and smaller batches from now on, if the service takes no such one."""
        try:
            return await service.embed(batch)
        except EmbeddingError as error:
            if len(batch) == 1 or not (error.about == "size" or error.status in MAY_BE_SIZE):
                raise
            if error.about != "size":
                # If it doesn't take one text either, its answer to that tells what is wrong.
                await service.embed(batch[:1])
            self._size = len(batch) // 2
            self._report(f"the service takes no {len(batch)} texts at once: {self._size} from now on")
            return None


def _check_same(part: Embedded, parts: Sequence[Embedded]) -> None:
    size, first = part.vectors.shape[1], (parts or [part])[0].vectors.shape[1]
    if size != first:
        raise EmbeddingError(
            "service", f"{part.model} gave vectors of {first} dimensions at first, and of {size} later"
        )


def next_batch(texts: Sequence[str], start: int, most: int) -> Sequence[str]:
    """The texts from `start` on that fit into one request: at least one, and at most so many."""
    end, tokens = start, 0
    while end < min(start + most, len(texts)):
        tokens += len(texts[end].encode()) // _BYTES_PER_TOKEN + 1
        if end > start and tokens > MAX_TOKENS:
            break
        end += 1
    return texts[start:end]


def cost(tokens: int | None, model: str) -> str:
    """The tokens that a build used, in words, with the price if the model has a published one."""
    if tokens is None:
        return f"an unknown number of tokens of {model}: the service does not tell"
    price = next((price for name, price in _PRICES.items() if model.startswith(name)), None)
    dollars = "" if price is None else f", about ${tokens / 1_000_000 * price:.4f} at its list price"
    return f"{tokens:,} tokens of {model}{dollars}"
