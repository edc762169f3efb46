"""Bounds on the answers that HTTP clients accept: every byte of them, and the shape of JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_HEAD_BYTES = 64 * 1024


class AnswerError(Exception):
    """An answer is larger than any that was asked for, or compressed."""


@dataclass(frozen=True)
class Bounds:
    """What an answer may have at most.

    Attributes:
        bytes: Everything that the network delivers for a request: heads, also those that only say "go on",
            and the body with what its encoding adds. Heads are allowed 64 KiB more.
        nodes: How many lists and objects its JSON may have: one of two bytes takes a hundred in memory. None
            leaves the body to be read as a stream.
    """

    bytes: int
    nodes: int | None


def bound(client: Any, bounds: Bounds) -> None:  # noqa: ANN401 - AsyncClient of httpx or of httpx2
    """Makes a client raise `AnswerError` for an answer beyond these bounds.

    Answers must not be compressed: a few bytes would become many in memory.
    """
    client.headers["Accept-Encoding"] = "identity"
    client.event_hooks = {"response": [_check(bounds.nodes)]}
    # Both libraries take no backend from outside, unless one gives up proxies of the environment.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see above
        if transport is not None:
            pool = transport._pool  # noqa: SLF001 - see above
            pool._network_backend = _Backend(pool._network_backend, bounds.bytes + _HEAD_BYTES)  # noqa: SLF001


def _check(nodes: int | None) -> Callable[[Any], Any]:
    async def check(response: Any) -> None:  # noqa: ANN401 - see bound
        if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise AnswerError("the answer is compressed, which was not asked for")
        if nodes is not None:
            body = await response.aread()
            if body.count(b"{") + body.count(b"[") > nodes:
                raise AnswerError(f"the answer has more than {nodes} lists and objects")

    return check


class _Stream:
    """A connection that counts what it receives after each request."""

    def __init__(self, stream: Any, limit: int) -> None:  # noqa: ANN401 - of httpcore or httpcore2
        self._stream = stream
        self._limit = limit
        self._received = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data: bytes = await self._stream.read(max_bytes, timeout)
        self._received += len(data)
        if self._received > self._limit:
            raise AnswerError(f"the answer has more than {self._limit // 1024} KiB")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._received = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **kwargs: Any) -> "_Stream":  # noqa: ANN401 - passed on
        return _Stream(await self._stream.start_tls(*args, **kwargs), self._limit)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as httpcore has it
        return self._stream.get_extra_info(info)


class _Backend:
    """Opens connections that count."""

    def __init__(self, backend: Any, limit: int) -> None:  # noqa: ANN401 - of httpcore or httpcore2
        self._backend = backend
        self._limit = limit

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:  # noqa: ANN401 - passed on
        return _Stream(await self._backend.connect_tcp(*args, **kwargs), self._limit)

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _Stream:  # noqa: ANN401 - passed on
        return _Stream(await self._backend.connect_unix_socket(*args, **kwargs), self._limit)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)
