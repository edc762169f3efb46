"""Bounds on the answers that HTTP clients accept: every byte of them, and the shape of JSON."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_HEAD_BYTES = 64 * 1024
# The smallest chunks and heads in one read take some 20 ms; then others have their turn.
_READ_BYTES = 8 * 1024
# Of heads and chunks, besides those that each value of JSON may have: a line takes up to 15 microseconds.
_LINES = 16_384
# A text of JSON; the last one may have no end. Possessive, so that each byte is read once.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


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
        values: How many values its JSON may have, and that many lines besides those of heads and chunks: what
            reads them holds the event loop. None is for commands, which hold up nobody.
    """

    bytes: int
    nodes: int | None
    values: int | None = None


def bound(client: Any, bounds: Bounds) -> None:  # noqa: ANN401 - AsyncClient of httpx or of httpx2
    """Makes a client raise `AnswerError` for an answer beyond these bounds.

    Answers must not be compressed: a few bytes would become many in memory.
    """
    client.headers["Accept-Encoding"] = "identity"
    client.event_hooks = {"response": [_check(bounds)]}
    # Both libraries take no backend from outside, unless one gives up proxies of the environment.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see above
        if transport is not None:
            pool = transport._pool  # noqa: SLF001 - see above
            pool._network_backend = _Backend(pool._network_backend, bounds)  # noqa: SLF001


def more_values(body: bytes, most: int) -> bool:
    """Whether JSON has more values than that: commas and brackets outside of texts. Takes 10 ms for 1 MiB.

    An answer in another encoding than UTF-8 has too many, as its commas cannot be told.
    """
    # A text has two quotes, and those within it have a backslash. First: many texts take long to find.
    if b"\0" in body or body.count(b'"') - body.count(b'\\"') > 4 * most + 2:
        return True
    bare = _TEXT.sub(b"", body)
    return sum(bare.count(mark) for mark in b",[{") > most


def _check(bounds: Bounds) -> Callable[[Any], Any]:
    async def check(response: Any) -> None:  # noqa: ANN401 - see bound
        if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise AnswerError("the answer is compressed, which was not asked for")
        if bounds.nodes is None:
            return
        body = await response.aread()
        if body.count(b"{") + body.count(b"[") > bounds.nodes:
            raise AnswerError(f"the answer has more than {bounds.nodes} lists and objects")
        if bounds.values is not None:
            if more_values(body, bounds.values):
                raise AnswerError(f"the answer has more than {bounds.values} values")
            # Others have their turn before it is parsed.
            await asyncio.sleep(0)

    return check


class _Stream:
    """A connection that counts what it receives after each request."""

    def __init__(self, stream: Any, bounds: Bounds) -> None:  # noqa: ANN401 - of httpcore or httpcore2
        self._stream = stream
        self._bounds = bounds
        self._most = bounds.bytes + _HEAD_BYTES
        self._most_lines = None if bounds.values is None else _LINES + bounds.values
        self._received = 0
        self._lines = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data: bytes = await self._stream.read(min(max_bytes, _READ_BYTES), timeout)
        self._received += len(data)
        self._lines += data.count(b"\n")
        if self._received > self._most:
            raise AnswerError(f"the answer has more than {self._most // 1024} KiB")
        if self._most_lines is not None and self._lines > self._most_lines:
            raise AnswerError(f"the answer has more than {self._most_lines} lines")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._received = self._lines = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **kwargs: Any) -> "_Stream":  # noqa: ANN401 - passed on
        return _Stream(await self._stream.start_tls(*args, **kwargs), self._bounds)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as httpcore has it
        return self._stream.get_extra_info(info)


class _Backend:
    """Opens connections that count."""

    def __init__(self, backend: Any, bounds: Bounds) -> None:  # noqa: ANN401 - of httpcore or httpcore2
        self._backend = backend
        self._bounds = bounds

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:  # noqa: ANN401 - passed on
        return _Stream(await self._backend.connect_tcp(*args, **kwargs), self._bounds)

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _Stream:  # noqa: ANN401 - passed on
        return _Stream(await self._backend.connect_unix_socket(*args, **kwargs), self._bounds)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)
