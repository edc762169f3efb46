"""A Qdrant client for commands, which waits while the server is away; a server that asks doesn't."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from flame_server.errors import UnavailableError
from flame_server.qdrant.connection import ExistsError, QdrantTarget, connect, explained

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient

_TIMEOUT_SECONDS = 60
PATIENCE_SECONDS = 30.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0


class _Patient:
    """Every method of the client, tried again while its failure is the world's.

    All that commands ask for may be asked twice: names are unique, and points have numbers.
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

        async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the client takes and gives
            wait, until = _FIRST_WAIT, time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    with explained(self._target):
                        return await method(*args, **kwargs)
                except ExistsError:
                    if wait == _FIRST_WAIT:
                        raise
                    return True  # the attempt before had made it, and its answer was lost
                except UnavailableError as error:
                    if error.kind != "world" or time.monotonic() + wait > until:
                        raise
                    self._report(f"{error}; trying again")
                await self._sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads load
                wait = min(2 * wait, _LONGEST_WAIT)

        return call


@asynccontextmanager
async def patient(
    target: QdrantTarget,
    report: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    seconds: int = _TIMEOUT_SECONDS,
) -> "AsyncIterator[AsyncQdrantClient]":
    """A client of the target, closed at the end, which waits `seconds` for an answer.

    Raises:
        UnavailableError: Qdrant refuses, or is still away after `PATIENCE_SECONDS`.
    """
    client = connect(target, seconds)
    try:
        yield cast("AsyncQdrantClient", _Patient(client, target, report, sleep))
    finally:
        await client.close()
