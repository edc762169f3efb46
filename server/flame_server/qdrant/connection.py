"""A Qdrant server and an alias there, clients for it, and its errors in plain words."""

import os
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_server.answers import AnswerError, Bounds, bound
from flame_server.credentials import Credentials
from flame_server.errors import FlameMcpError, Kind, UnavailableError
from flame_server.settings import Settings

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

# Of a running server: at most 101 chunks, few of them as large as they may be, or a collection's description.
QUERY_BOUNDS = Bounds(bytes=2 * 1024**2, nodes=200_000, values=10_000)
# Of commands: at most 64 chunks with their vectors, or lists of all collections.
COMMAND_BOUNDS = Bounds(bytes=64 * 1024**2, nodes=400_000)
# The key of our own entry in the metadata of a collection.
METADATA = "flame_mcp"
_JUNK = (
    ValueError, TypeError, AttributeError, LookupError, AssertionError, RecursionError, OverflowError,
)  # fmt: skip
# Statuses that do not change when a request is repeated.
_REFUSALS = {400, 401, 403, 404, 405, 409, 413, 422}


@dataclass(frozen=True)
class QdrantTarget:
    """A Qdrant server, and an alias there.

    Attributes:
        url: Without a port, the default of its scheme is used, not Qdrant's 6333.
        ca_file: CA certificates to trust instead of the system's.
    """

    url: str
    collection: str
    api_key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


def qdrant_target(settings: Settings, credentials: Credentials) -> QdrantTarget:
    """The Qdrant server and the alias that the settings name."""
    return QdrantTarget(
        settings.qdrant_url or "",
        settings.qdrant_collection or "",
        credentials.qdrant_api_key,
        settings.qdrant_ca_file,
    )


def connect(target: QdrantTarget, seconds: int, bounds: Bounds = QUERY_BOUNDS) -> "AsyncQdrantClient":
    """A client, which connects when it is first used. For one event loop. Answers have `bounds`.

    Raises:
        FlameMcpError: The CA file cannot be used.
    """
    import httpx  # noqa: PLC0415 - the HTTP library of Qdrant's client
    from qdrant_client import AsyncQdrantClient  # noqa: PLC0415 - 40 MiB that only this needs

    options: dict[str, Any] = {
        "verify": trusted(target),
        # By default the client opens a new connection for each request to localhost.
        "limits": httpx.Limits(max_connections=32, max_keepalive_connections=16),
    }
    with warnings.catch_warnings():
        # The client warns about an API key over http; docs/server.md does, too.
        warnings.simplefilter("ignore", UserWarning)
        client = AsyncQdrantClient(
            url=target.url,
            port=None,
            api_key=target.api_key,
            timeout=seconds,
            check_compatibility=False,
            **options,
        )
    bound(client.http.client._async_client, bounds)  # noqa: SLF001 - there is no other way to it
    return client


def trusted(target: QdrantTarget) -> ssl.SSLContext:
    """The `verify` argument of httpx: the CA certificates to trust.

    Raises:
        FlameMcpError: The CA file cannot be used.
    """
    if target.ca_file is None:
        return _of_the_system(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    try:
        return ssl.create_default_context(cafile=str(target.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise FlameMcpError(
            f"FLAME_MCP_QDRANT_CA_FILE names {target.ca_file}, which holds no usable certificate: {error}"
        ) from error


@lru_cache(maxsize=4)
def _of_the_system(file: str | None, folder: str | None) -> ssl.SSLContext:  # noqa: ARG001 - httpx reads both
    """All clients share it: to read the system's CA certificates takes 25 to 50 ms."""
    import httpx  # noqa: PLC0415 - see connect

    return httpx.create_ssl_context()


class GoneError(UnavailableError):
    """There is no such collection or alias."""


class ExistsError(UnavailableError):
    """There already is a collection of that name."""


_KINDS = {404: GoneError, 409: ExistsError}


@contextmanager
def explained(target: QdrantTarget) -> Iterator[None]:
    """Turns the client's exceptions into plain errors, which contain neither the request nor the API key.

    Raises:
        UnavailableError: Qdrant cannot be reached, or refuses the request.
    """
    import httpx  # noqa: PLC0415 - see connect
    from qdrant_client.common.client_exceptions import QdrantException  # noqa: PLC0415
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse  # noqa: PLC0415

    where = f"Qdrant at {target.url}"
    try:
        yield
    except UnexpectedResponse as error:
        kind: Kind = "user" if error.status_code in _REFUSALS else "world"
        message = f"{where} answered HTTP {error.status_code}: {_advice(error, target)}"
        raise _KINDS.get(error.status_code or 0, UnavailableError)(message, kind) from error
    except ResponseHandlingException as error:
        if not isinstance(error.source, httpx.HTTPError):
            raise _unusable(where, error.source) from error
        reason = str(error.source) or type(error.source).__name__
        # Any other failure may pass.
        kind = "user" if "CERTIFICATE_VERIFY_FAILED" in reason else "world"
        raise UnavailableError(f"{where} cannot be reached: {reason[:200]}", kind) from error
    except QdrantException as error:
        raise UnavailableError(f"{where} has too many requests") from error
    # What the client raises for answers that are not Qdrant's.
    except _JUNK as error:
        raise _unusable(where, error) from error


def _unusable(where: str, error: BaseException) -> UnavailableError:
    # Never the text of other errors, which may repeat the answer.
    reason = str(error) if isinstance(error, AnswerError) else type(error).__name__
    return UnavailableError(f"{where} gave no usable answer: {reason}")


def _advice(error: Any, target: QdrantTarget) -> str:  # noqa: ANN401 - its type is imported only when used
    match error.status_code:
        case 401:
            return "check the API key"
        case 403:
            return "check the API key and what it may do: one that may only read is not enough to write"
        case 404:
            return (
                f"there is no collection or alias {target.collection}: load an index with "
                f"flame-mcp index publish --qdrant {target.url} --collection {target.collection} --index DIR"
            )
        case _ if error.status_code == 507 or b"No space left" in error.content:
            return "its volume is full: enlarge it, or remove snapshots and collections"
        case _:
            return "look at its log"
