"""A client of embedding services: Azure OpenAI, or any service with an OpenAI-compatible API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flame_server.answers import AnswerError, Bounds, bound
from flame_server.embedding.entra import CloudName, WorkloadIdentity
from flame_server.embedding.errors import EmbeddingError, Reason
from flame_server.embedding.identity import PASSAGES, EmbeddingIdentity, Vectors
from flame_server.embedding.protocol.answer import Answer, ShapeError, read
from flame_server.embedding.protocol.refusals import MAY_BE_SIZE, about, another_format_may_do
from flame_server.embedding.protocol.words import cleaned, said, word

if TYPE_CHECKING:
    import openai
    from openai import AsyncOpenAI

Format = Literal["base64", "float"]

# OpenAI's client requires a key, even for services that need none.
_NO_KEY = "none"
# Of large models, when the settings leave it to the model; some have twice as many.
_USUAL_DIMENSIONS = 4_096
# A negative number with all its digits, a comma and a space.
_NUMBER_BYTES = 26
# What the client raises for an answer that is none of a service.
_JUNK = (ValueError, TypeError, AttributeError, KeyError, AssertionError, RecursionError, OverflowError)
# The smallest answer first; None leaves the format to the service, which some insist on.
_FORMATS: tuple[Format | None, ...] = ("base64", "float", None)


@dataclass(frozen=True)
class ServiceModel:
    """A model of an embedding service.

    Attributes:
        url: Azure's endpoint, or the base URL of an API like OpenAI's.
        model: Azure's deployment, or the model's name.
        dimensions: The number to request; 0 leaves it to the model.
        api_version: Only for Azure.
        api_key: None means workload identity with Azure, and no key otherwise.
        cloud: Azure's cloud; None means that of the endpoint. Only for workload identity.
        batch_size: How many texts a request has at most; None starts with a size that most services take.
        encoding_format: How vectors are asked for; None tries what the service takes.
    """

    type: Literal["AzureOpenAI", "OpenAI"]
    url: str
    model: str
    dimensions: int = 0
    api_version: str = ""
    api_key: str | None = field(default=None, repr=False)
    cloud: CloudName | None = None
    batch_size: int | None = None
    encoding_format: Format | None = None

    @property
    def identity(self) -> EmbeddingIdentity:
        """Identifies the model."""
        return EmbeddingIdentity(
            self.type, self.model, self.dimensions, sha256(b"service; L2; " + PASSAGES).hexdigest()[:16]
        )


@dataclass(frozen=True)
class Embedded:
    """Unit vectors, and the tokens that they cost; None when the service doesn't tell."""

    vectors: Vectors
    tokens: int | None
    model: str


class EmbeddingService:
    """Requests vectors from a service, in a format that it takes. For one event loop.

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
        self._formats = _FORMATS if model.encoding_format is None else (model.encoding_format,)
        self._settled = False

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """One unit vector for each text. None may be empty.

        Raises:
            EmbeddingError: The service fails, or returns vectors of another size than requested.
        """
        unclear: EmbeddingError | None = None
        for place, encoding in enumerate(formats := self._formats):
            try:
                answer = await self._request(texts, encoding)
            except EmbeddingError as error:
                # What isn't about the format is the better explanation, if no format is taken.
                unclear = unclear or (error if error.about != "format" else None)
                again = another_format_may_do(error.status, error.about, settled=self._settled)
                if again and place < len(formats) - 1:
                    continue
                if unclear is None or unclear is error or error.kind != "user":
                    raise
                raise unclear from error
            self._formats, self._settled = formats[place:], True
            return self._checked(answer)
        raise AssertionError("there is always a format")

    async def _request(self, texts: Sequence[str], encoding: Format | None) -> Answer:
        import httpx2  # noqa: PLC0415
        import openai  # noqa: PLC0415 - 20 MiB that only services need

        body: dict[str, Any] = {"input": list(texts), "model": self.model.model}
        body |= {"dimensions": self.model.dimensions} if self.model.dimensions else {}
        body |= {"encoding_format": encoding} if encoding else {}
        try:
            # Its own method for embeddings insists on a format, and on parts of answers that some leave out.
            response = await self._client.post("/embeddings", body=body, cast_to=httpx2.Response)
        except (openai.OpenAIError, AnswerError, *_JUNK) as error:
            raise _explained(error, self.model, texts) from error
        try:
            return read(response.content, len(texts))
        except ShapeError as error:
            words = cleaned(error.words, _secrets(self.model, response.request.headers), texts)
            text = f"the embedding service at {self.model.url} gave no usable answer: {error}{_quoted(words)}"
            raise EmbeddingError("service", text, 200, about(MAY_BE_SIZE[0], words)) from error

    def _checked(self, answer: Answer) -> Embedded:
        size, wanted = answer.vectors.shape[1], self.model.dimensions
        if wanted and size != wanted:
            raise EmbeddingError(
                "dimensions",
                f"{self.model.model} gave vectors of {size} dimensions, {wanted} were expected: "
                "set the dimensions to what the model gives",
            )
        norms = np.linalg.norm(answer.vectors.astype(np.float64), axis=1, keepdims=True)
        vectors = (answer.vectors / np.maximum(norms, 1e-12)).astype(np.float32)
        named = word(answer.model, _secrets(self.model, {}))
        return Embedded(vectors, answer.tokens, named or self.model.model)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def answer_bounds(model: ServiceModel, texts: int) -> Bounds:
    """What an answer for so many texts may have: 26 bytes a number, a few lists and objects a text."""
    numbers = texts * (model.dimensions or _USUAL_DIMENSIONS)
    size = 1024**2 + _NUMBER_BYTES * numbers
    return Bounds(bytes=size, nodes=64 + 4 * texts, values=64 + 16 * texts + 2 * numbers)


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
            azure_ad_token_provider=None if model.api_key else WorkloadIdentity(model.url, model.cloud),
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


def _explained(error: Exception, model: ServiceModel, texts: Sequence[str]) -> EmbeddingError:
    """The failure in plain words, with what the service says, which is cleaned: it may repeat the request."""
    import openai  # noqa: PLC0415

    where = f"the embedding service at {model.url}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EmbeddingError):
            return cause
        if isinstance(cause, AnswerError):
            # For fewer texts it may be small enough.
            return EmbeddingError("service", f"{where} gave no usable answer: {cause}", 200, "size")
        cause = cause.__cause__
    if isinstance(error, openai.APITimeoutError):
        return EmbeddingError("timeout", f"{where} did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        return EmbeddingError("connection", f"{where} cannot be reached: check the address and the network")
    if isinstance(error, openai.APIStatusError):
        return _status_error(error, model, texts)
    return EmbeddingError("service", f"{where} gave no usable answer ({type(error).__name__})")


def _status_error(
    error: "openai.APIStatusError", model: ServiceModel, texts: Sequence[str]
) -> EmbeddingError:
    secrets = _secrets(model, error.request.headers)
    reason, advice = _status(error.status_code)
    code = word(error.code, secrets)
    words = cleaned(said(error.body), secrets, texts)
    text = (
        f"the embedding service at {model.url} answered HTTP {error.status_code}{code and f', {code}'}: "
        f"{advice}{_quoted(words)}"
    )
    return EmbeddingError(reason, text, error.status_code, about(error.status_code, f"{code} {words}"))


def _secrets(model: ServiceModel, sent: Mapping[str, str]) -> Sequence[str]:
    """What the service was given to let us in, and must not tell. `sent` are the headers of the request."""
    token = sent.get("authorization", "").removeprefix("Bearer ")
    return [secret for secret in (model.api_key, token) if secret and secret != _NO_KEY]


def _quoted(words: str) -> str:
    return f'; it says "{words}"' if words else ""


def _status(status: int) -> tuple[Reason, str]:
    if 300 <= status < 400:
        return "refused", "it leads elsewhere, where requests do not follow; give the address itself"
    if status in (401, 403):
        return "credentials", "check the API key, or the workload identity's role"
    if status == 404:
        return "refused", "check the deployment or model, the address, and the API version"
    if status == 429:
        return "rate", "it has too many requests; raise its quota when this stays"
    if status < 500 and status not in (408, 409, 425):
        return "refused", "it does not take such a request"
    return "service", "it has a failure of its own; try again later"
