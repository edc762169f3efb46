"""Serves a few small pages over HTTP/1.1, to clients that may mean harm.

One request per connection, which ends within seconds whatever the client does. General servers wait for ever
for the end of a head, and take any number of connections.
"""

import asyncio
import re
import socket
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import NamedTuple

import structlog

from flame_operator.errors import UserError

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 32
"""How many connections a port has; one more ends the oldest of the address that is to blame most.

An address is to blame for each connection that it has open, and once more when it sent no request on its last
one. So kubelets and Prometheus, which ask and go, get through while others hold connections.
"""
MAX_BLAMED = 1024
"""How many addresses are remembered that sent no request on their last connection."""
MAX_HEAD_BYTES = 8 * 1024
MAX_PIECES = 32
"""How many pieces a head may come in: each costs a turn of the event loop."""
HEAD_SECONDS = 5.0
"""How long a client may take to send its head."""
ANSWER_SECONDS = 5.0
"""How long a client may take to read the answer."""
ANSWERS_PER_SECOND = 5
"""How often an endpoint makes its answer anew in a second; whoever asks more often gets the last one again.

A page of metrics takes some milliseconds.
"""
_ACCEPTED_AT_ONCE = 8
"""How many connections are accepted in a turn of the event loop.

Fewer than `MAX_CONNECTIONS`, so that a client that sends its request at once is answered before others can
displace it.
"""
_BACKLOG = 128
_KERNEL_BYTES = 32 * 1024
"""How many bytes of a connection wait in the kernel."""
_ALLOW = "Allow: GET, HEAD\r\n"
_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.[01]")


class Answer(NamedTuple):
    """The HTTP response of an endpoint."""

    status: int
    content_type: str
    body: bytes


Endpoints = Mapping[str, Callable[[], Answer]]
"""The HTTP paths, each with the function that makes its response."""


class _Page:
    """An endpoint whose answer is made so often in a second and no more."""

    def __init__(self, path: str, make: Callable[[], Answer]) -> None:
        self._path = path
        self._make = make
        self._second = 0.0
        self._made = 0
        self._last = _plain(500)

    def answer(self) -> Answer:
        """The answer, which is at most a second old."""
        now = asyncio.get_running_loop().time()
        if not self._made or now - self._second >= 1:
            self._second, self._made = now, 0
        if self._made < ANSWERS_PER_SECOND:
            self._made += 1
            self._last = self._new()
        return self._last

    def _new(self) -> Answer:
        try:
            return self._make()
        except Exception:
            log.exception("unexpected error in an endpoint", path=self._path)
            return _plain(500)


class _Connections:
    """The open connections of a port, oldest first."""

    def __init__(self) -> None:
        self._open: dict[_Connection, None] = {}
        self._blamed: OrderedDict[str, None] = OrderedDict()

    def add(self, connection: "_Connection") -> None:
        """Keep a connection; where there are too many, end one."""
        self._open[connection] = None
        if len(self._open) > MAX_CONNECTIONS:
            counts = Counter(each.address for each in self._open)
            blame = {address: count + (address in self._blamed) for address, count in counts.items()}
            most = max(blame.values())
            next(each for each in self._open if blame[each.address] == most).abort()

    def discard(self, connection: "_Connection") -> None:
        """Forget a connection that has ended, but not an address that has sent no request on it."""
        if connection not in self._open:
            return
        del self._open[connection]
        if connection.answered:
            self._blamed.pop(connection.address, None)
            return
        self._blamed[connection.address] = None
        if len(self._blamed) > MAX_BLAMED:
            self._blamed.popitem(last=False)

    def abort(self) -> None:
        """End all connections."""
        for connection in list(self._open):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One connection: takes one head, answers, and closes."""

    def __init__(self, pages: Mapping[str, _Page], connections: _Connections) -> None:
        self.address = ""
        self.answered = False
        self._pages = pages
        self._connections = connections
        self._head = b""
        self._pieces = 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        self._end_in(HEAD_SECONDS)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._pieces += 1
        self._head += data[: MAX_HEAD_BYTES + 1 - len(self._head)]
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if end:
            self.answered = True
            self._answer(head.split(b"\r\n", 1)[0])
        elif len(self._head) > MAX_HEAD_BYTES or self._pieces >= MAX_PIECES:
            self._send(_plain(431), with_body=True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a lost connection is the end
        self._connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def abort(self) -> None:
        """End the connection, whatever it is doing."""
        self._connections.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, request_line: bytes) -> None:
        match = _REQUEST_LINE.fullmatch(request_line)
        if match is None:
            self._send(_plain(400), with_body=True)
            return
        method, path = match[1].decode(), match[2].decode().partition("?")[0]
        page = self._pages.get(path)
        if page is None:
            answer = _plain(404)
        elif method not in ("GET", "HEAD"):
            answer = _plain(405)
        else:
            answer = page.answer()
        self._send(answer, with_body=method != "HEAD")

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        assert self._transport is not None  # noqa: S101 - for the type checker
        status, content_type, body = answer
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n{_ALLOW if status == 405 else ''}\r\n"
        )
        self._transport.pause_reading()
        self._head = b""
        self._end_in(ANSWER_SECONDS)
        self._transport.write(head.encode() + (body if with_body else b""))
        self._transport.close()

    def _end_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)


@asynccontextmanager
async def serve(port: int, endpoints: Endpoints) -> AsyncIterator[None]:
    """Serve GET requests on all addresses, IPv4 and IPv6, for as long as the context lasts.

    Args:
        port: Where to listen; 0 means nowhere.
        endpoints: What to serve.

    Raises:
        UserError: The port can't be listened on.
    """
    if port == 0:
        yield
        return
    connections = _Connections()
    pages = {path: _Page(path, make) for path, make in endpoints.items()}
    try:
        listener = _listen(port)
    except OSError as error:
        raise UserError(f"can't listen on port {port}: {error.strerror}. Choose another one") from error
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(pages, connections), sock=listener, backlog=_ACCEPTED_AT_ONCE
    )
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)
    # asyncio's backlog is both: how many it accepts at once, and how many wait in the kernel until then.
    listener.listen(_BACKLOG)
    try:
        yield
    finally:
        server.close()
        connections.abort()
        await server.wait_closed()


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _plain(status: int) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{HTTPStatus(status).phrase}\n".encode())
