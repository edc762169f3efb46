"""A client of embedding services: Azure OpenAI, or any service with an OpenAI-compatible API."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import numpy as np

from flame_server.answers import AnswerError, Bounds, bound
from flame_server.embedding.entra import WorkloadIdentity
from flame_server.embedding.errors import EmbeddingError, Reason
from flame_server.embedding.identity import PASSAGES, EmbeddingIdentity, Vectors

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# OpenAI's client requires a key, even for services that need none.
_NO_KEY = "none"
# More than models give, when the settings leave it to the model.
_MOST_DIMENSIONS = 8_192
_WORD = re.compile(r"[\w.-]{1,64}", re.ASCII)
# What reading an answer raises that is not one of a service.
_JUNK = (ValueError, TypeError, AttributeError, KeyError, AssertionError, RecursionError, OverflowError)


@dataclass(frozen=True)
class ServiceModel:
    """A model of an embedding service.

    Attributes:
        url: Azure's endpoint, or the base URL of an API like OpenAI's.
        model: Azure's deployment, or the model's name.
        dimensions: The number to request; 0 leaves it to the model.
        api_version: Only for Azure.
        api_key: None means workload identity with Azure, and no key otherwise.
    """

    type: Literal["AzureOpenAI", "OpenAI"]
    url: str
    model: str
    dimensions: int = 0
    api_version: str = ""
    api_key: str | None = field(default=None, repr=False)

    @property
    def identity(self) -> EmbeddingIdentity:
        """Identifies the model."""
        return EmbeddingIdentity(
            self.type, self.model, self.dimensions, sha256(b"service; L2; " + PASSAGES).hexdigest()[:16]
        )


@dataclass(frozen=True)
class Embedded:
    """Unit vectors, and the tokens that they cost."""

    vectors: Vectors
    tokens: int
    model: str


class EmbeddingService:
    """Requests vectors from a service. For one event loop.

    Args:
        model: The model to use.
        retries: How often a request is repeated after a failure that may pass, with backoff or after the
            Retry-After of the service (up to two minutes).
        seconds: Timeout of one attempt.
        texts: How many texts a request has at most; the service accepts 2,048.
    """

    def __init__(self, model: ServiceModel, retries: int, seconds: float, texts: int = 1) -> None:
        self.model = model
        self._client = _client(model, retries, seconds, answer_bounds(model, texts))

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """One unit vector for each text, in one request. None may be empty.

        Raises:
            EmbeddingError: The service fails, or returns vectors of another size than requested.
        """
        import openai  # noqa: PLC0415 - 20 MiB that only services need

        size = self.model.dimensions or openai.omit
        try:
            answer = await self._client.embeddings.create(
                input=list(texts), model=self.model.model, dimensions=size
            )
            rows = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
            sizes = sorted({len(row) for row in rows})
            tokens, named = int(answer.usage.prompt_tokens), _word(answer.model) or self.model.model
        except (openai.OpenAIError, AnswerError, *_JUNK) as error:
            raise _explained(error, self.model) from error
        wanted = self.model.dimensions or (len(rows[0]) if rows else 0)
        if len(rows) != len(texts) or not wanted or any(len(row) != wanted for row in rows):
            raise EmbeddingError(
                "dimensions",
                f"{self.model.model} gave {len(rows)} vectors of {sizes[:3]} dimensions for {len(texts)} "
                f"texts, {wanted} were expected: set the dimensions to what the model gives",
            )
        try:
            vectors = np.array(rows, dtype=np.float32)
        except _JUNK as error:
            raise _explained(error, self.model) from error
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all():
            raise _explained(ValueError(), self.model)
        return Embedded(vectors / np.maximum(norms, 1e-12), tokens, named)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def answer_bounds(model: ServiceModel, texts: int) -> Bounds:
    """What an answer for so many texts may have: 24 bytes a number, a few lists and objects a text."""
    numbers = texts * (model.dimensions or _MOST_DIMENSIONS)
    return Bounds(bytes=1024**2 + 24 * numbers, nodes=64 + 4 * texts, values=64 + 16 * texts + numbers)


def _client(model: ServiceModel, retries: int, seconds: float, bounds: Bounds) -> "AsyncOpenAI":
    import httpx2  # noqa: PLC0415
    from openai import AsyncAzureOpenAI, AsyncOpenAI  # noqa: PLC0415

    # A redirect could lead anywhere, also to addresses that the cloud keeps to itself.
    http = httpx2.AsyncClient(timeout=seconds, follow_redirects=False)
    bound(http, bounds)
    if model.type == "AzureOpenAI":
        return AsyncAzureOpenAI(
            azure_endpoint=model.url,
            api_version=model.api_version,
            api_key=model.api_key,
            azure_ad_token_provider=None if model.api_key else WorkloadIdentity(),
            max_retries=retries,
            timeout=seconds,
            http_client=http,
        )
    return AsyncOpenAI(
        base_url=model.url,
        api_key=model.api_key or _NO_KEY,
        max_retries=retries,
        timeout=seconds,
        http_client=http,
    )


def _explained(error: Exception, model: ServiceModel) -> EmbeddingError:
    """The failure in plain words. Never the service's own message, which may repeat the request."""
    import openai  # noqa: PLC0415

    where = f"the embedding service at {model.url}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EmbeddingError):
            return cause
        if isinstance(cause, AnswerError):
            return EmbeddingError("service", f"{where} gave no usable answer: {cause}")
        cause = cause.__cause__
    if isinstance(error, openai.APITimeoutError):
        return EmbeddingError("timeout", f"{where} did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        return EmbeddingError("connection", f"{where} cannot be reached: check the address and the network")
    if isinstance(error, openai.APIStatusError):
        reason, advice = _status(error.status_code)
        word = _word(error.code)
        code = f", {word}" if word else ""
        return EmbeddingError(reason, f"{where} answered HTTP {error.status_code}{code}: {advice}")
    return EmbeddingError("service", f"{where} gave no usable answer ({type(error).__name__})")


def _word(given: object) -> str:
    """A word that the service says, such as a code; empty if it is none: it may be anything, even the key."""
    return given if isinstance(given, str) and _WORD.fullmatch(given) else ""


def _status(status: int) -> tuple[Reason, str]:
    if 300 <= status < 400:
        return "refused", "it leads elsewhere, where requests do not follow; give the address itself"
    if status in (401, 403):
        return "credentials", "check the API key, or the workload identity's role"
    if status == 404:
        return "refused", "check the deployment or model, and the API version"
    if status == 429:
        return "rate", "it has too many requests; raise its quota when this stays"
    if status < 500:
        return "refused", "it does not take such a request; check model and dimensions"
    return "service", "it has a failure of its own; try again later"
