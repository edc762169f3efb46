"""A Qdrant client that retries, for commands. A running server does not retry: queries cannot wait."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from flame_server.errors import UnavailableError
from flame_server.qdrant.connection import (
    COMMAND_BOUNDS,
    ExistsError,
    QdrantTarget,
    connect,
    explained,
)

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

_TIMEOUT_SECONDS = 60
RETRY_SECONDS = 30.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0


class _RetryingClient:
    """Has every method of the client, and retries it after failures that may pass.

    All requests of commands may be repeated: names of collections are unique, and points have numbers.
    """

    def __init__(
        self,
        client: "AsyncQdrantClient",
        target: QdrantTarget,
        report: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._client = client
        self._target = target
        self._report = report
        self._sleep = sleep

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the types of the client's methods
            wait, until = _FIRST_WAIT, time.monotonic() + RETRY_SECONDS
            while True:
                try:
                    with explained(self._target):
                        return await method(*args, **kwargs)
                except ExistsError:
                    if wait == _FIRST_WAIT:
                        raise
                    return True  # the attempt before succeeded, and its answer was lost
                except UnavailableError as error:
                    if error.kind != "world" or time.monotonic() + wait > until:
                        raise
                    self._report(f"{error}; trying again")
                await self._sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads load
                wait = min(2 * wait, _LONGEST_WAIT)

        return call


@asynccontextmanager
async def retrying_client(
    target: QdrantTarget,
    report: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    seconds: int = _TIMEOUT_SECONDS,
) -> "AsyncIterator[AsyncQdrantClient]":
    """A retrying client of the target; each request waits `seconds` for an answer. Closed at the end.

    Raises:
        UnavailableError: Qdrant refuses, or is still unavailable after `RETRY_SECONDS`.
    """
    client = connect(target, seconds, COMMAND_BOUNDS)
    try:
        yield cast("AsyncQdrantClient", _RetryingClient(client, target, report, sleep))
    finally:
        await client.close()
