"""Makes the few HTTP/1.1 requests of a check, to a pod that may send anything.

It is a client for this purpose only: general ones bound bodies, but neither heads, informational answers nor
the framing of chunks. A parser like h11 doesn't either: it takes any number of header lines, of informational
answers and of chunks, and the counting around it would be as long as this. It follows no redirects, knows no
cookies, proxies or credentials, and decompresses nothing.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from flame_operator.verification.verdict import Failure
from flame_operator.verification.wire import NOT_HTTP, HeldBytes, Wire

EVENTS = "text/event-stream"
MAX_HEAD = 16 * 1024
"""How many bytes the head of an answer may have, and the trailers after its body."""
MAX_HEADERS = 128
MAX_CHUNKS = 1024
"""How many chunks an answer may be made of."""
MAX_CHUNK_LINE = 256
"""How many bytes the line before a chunk may have, with its extensions."""
_CHUNKS_AT_ONCE = 64
"""After how many chunks others get a turn, as many chunks may arrive at once."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")


Enough = Callable[[bytes], Awaitable[bool]]
"""Takes the next piece of a stream of events; returns whether nothing more has to be read."""


class Response(NamedTuple):
    """The answer to a request."""

    status: int
    content_type: str
    """The media type in small letters, without parameters."""
    body: bytes
    """The body of an answer with status 200, as it came; of others, and of streams, nothing is kept."""


class _Head(NamedTuple):
    status: int
    headers: Mapping[str, bytes]
    stays_open: bool


class HttpClient:
    """Makes the requests of one check, one after the other, on one connection if the pod keeps it open.

    Args:
        url: The base URL, with an address and a port, e.g. `http://10.0.0.7:80`.
        headers: Headers of all requests.
        held: Counts the bytes that all checks hold.
        give_up: Ends the check; called when all checks together hold too much.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], held: HeldBytes, give_up: Callable[[], None]
    ) -> None:
        parts = urlsplit(url)
        self._wire = Wire(parts.hostname or "", parts.port or 80, held, give_up)
        self._headers = headers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._wire.__aexit__(*error)

    async def request(  # noqa: PLR0913 - all that a request has, by name
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        most: int = 0,
        enough: Enough | None = None,
    ) -> Response:
        """Make a request.

        Args:
            method: The HTTP method.
            path: The path.
            headers: Headers of this request.
            body: Its body.
            most: How many bytes the answer's body may have; with 0 none of it is read.
            enough: Takes the body of an answer that is a stream of events, up to where it is enough.

        Raises:
            Failure: There is no connection, the answer isn't HTTP, or it is larger than a check takes; or
                `enough` raises it.
            ConnectionError: The pod has broken off.
        """
        lines = {**self._headers, **(headers or {}), "Content-Length": f"{len(body)}"}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        data = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1", "replace") + body
        answer = await self._head(await self._first_line(data))
        is_read = answer.status == 200 and most > 0
        content_type = (
            answer.headers.get("content-type", b"").split(b";")[0].strip().lower().decode("latin-1")
        )
        content = bytearray()
        stays_open = answer.stays_open and is_read
        if is_read:
            async with aclosing(self._pieces(answer, most)) as pieces:
                async for piece in pieces:
                    if enough is None or content_type != EVENTS:
                        content += piece
                    elif await enough(piece):
                        stays_open = False  # there may be more
                        break
        if not stays_open:
            self._wire.close()
        return Response(answer.status, content_type, bytes(content))

    def release(self) -> None:
        """Say that the last answer's body is no longer kept."""
        self._wire.release()

    async def _first_line(self, data: bytes) -> bytes:
        if self._wire.is_open:
            try:
                self._wire.send(data)
                return await self._wire.line(MAX_HEAD)
            except ConnectionError:
                pass  # closed since the last answer, which a server may do at any time
        await self._wire.connect()
        self._wire.send(data)
        return await self._wire.line(MAX_HEAD)

    async def _head(self, first: bytes) -> _Head:
        """The head of an answer; one informational answer may come before it."""
        for line in (first, None):
            status_line = await self._wire.line(MAX_HEAD) if line is None else line
            match = _STATUS_LINE.fullmatch(status_line)
            if match is None:
                raise Failure(NOT_HTTP)
            headers = await self._header_lines()
            status = int(match[2])
            if not 100 <= status < 200 or status == 101:
                options = headers.get("connection", b"").lower()
                return _Head(status, headers, match[1] == b"1" and b"close" not in options)
        raise Failure(NOT_HTTP, overrun=True)

    async def _header_lines(self) -> dict[str, bytes]:
        """Header lines, or trailers, to the empty line that ends them."""
        headers: dict[str, bytes] = {}
        name, left = "", MAX_HEAD
        for _ in range(MAX_HEADERS + 1):
            line = await self._wire.line(left)
            if not line:
                return headers
            left -= len(line)
            field, colon, value = line.partition(b":")
            if name and line.startswith((b" ", b"\t")):
                headers[name] += b" " + line.strip(b" \t")  # a value that goes on, as it was allowed once
                continue
            if not colon or _NAME.fullmatch(field) is None:
                raise Failure(NOT_HTTP)
            name = field.decode("ascii").lower()
            value = value.strip(b" \t")
            headers[name] = headers[name] + b", " + value if name in headers else value
        raise Failure(NOT_HTTP, overrun=True)

    async def _pieces(self, head: _Head, most: int) -> AsyncGenerator[bytes, None]:
        """The body as it comes, in pieces of any size that have `most` bytes together."""
        encoding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
        count = 0
        if encoding is not None:
            if encoding.lower() != b"chunked" or length is not None:
                raise Failure(NOT_HTTP)
            async with aclosing(self._chunks()) as sizes:
                async for size in sizes:
                    count += size
                    _check_size(count, most)
                    while size:
                        piece = await self._some(size)
                        size -= len(piece)  # noqa: PLW2901 - what is left of the chunk
                        yield piece
        elif length is not None:
            count = _length(length)
            _check_size(count, most)
            while count:
                piece = await self._some(count)
                count -= len(piece)
                yield piece
        else:
            while piece := await self._wire.some(most + 1):
                count += len(piece)
                _check_size(count, most)
                yield piece
            self._wire.close()

    async def _some(self, most: int) -> bytes:
        piece = await self._wire.some(most)
        if not piece:
            raise ConnectionError
        return piece

    async def _chunks(self) -> AsyncGenerator[int, None]:
        """The sizes of the chunks; each chunk has to be read before the next size."""
        for number in range(1, MAX_CHUNKS + 2):
            if number % _CHUNKS_AT_ONCE == 0:
                await asyncio.sleep(0)
            match = _CHUNK.fullmatch(await self._wire.line(MAX_CHUNK_LINE))
            if match is None:
                raise Failure(NOT_HTTP)
            size = int(match[1], 16)
            if size == 0:
                await self._header_lines()
                return
            yield size
            if await self._wire.line(MAX_CHUNK_LINE):
                raise Failure(NOT_HTTP)
        raise Failure(f"the server's answer has more than {MAX_CHUNKS} chunks", overrun=True)


def _length(value: bytes) -> int:
    """The length in a header. If it is repeated, all values must be the same (RFC 9112, section 6.3)."""
    values = {each.strip(b" \t") for each in value.split(b",")}
    found = values.pop()
    if values or _LENGTH.fullmatch(found) is None:
        raise Failure(NOT_HTTP)
    return int(found)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise Failure(f"the server's answer is larger than {most // 1024} KiB", overrun=True)
