"""Serves metrics and details on a port of their own, which clients need not reach."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flame_server.errors import FlameMcpError
from flame_server.serving.listeners.crowd import Crowd, Reason
from flame_server.serving.listeners.sockets import listen, shown
from flame_server.serving.metrics import Metrics

MAX_CONNECTIONS = 32
MAX_HEAD_BYTES = 8_192
HEAD_SECONDS = 5.0
ANSWER_SECONDS = 10.0
# Scrapes are seconds apart: nobody may keep the process busy with them.
_RENDERED_SECONDS = 0.2


class MetricsListener:
    """Serves `/metrics`, and `/details` as JSON, from a thread of its own until it is closed.

    In a thread, so that a scrape succeeds even while the server is busy or finishes its last requests. One
    thread for all connections, each with one request.

    Raises:
        FlameMcpError: The port is taken.
    """

    def __init__(self, host: str, port: int, metrics: Metrics, details: Callable[[], dict[str, Any]]) -> None:
        try:
            listeners = listen(host, port, MAX_CONNECTIONS)
        except OSError as error:
            raise FlameMcpError(
                f"cannot listen on {shown(host, port)}: {error.strerror}: set FLAME_MCP_METRICS_PORT"
            ) from error
        self.port = int(listeners[0].getsockname()[1])
        self._metrics = metrics
        self._details = details
        self._rendered = ("", b"")
        self._rendered_at = 0.0
        self._crowd = Crowd(MAX_CONNECTIONS, _not_counted)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(listeners,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, listeners: list[socket.socket]) -> None:
        servers = [self._loop.run_until_complete(self._served(listener)) for listener in listeners]
        self._loop.run_forever()
        for server in servers:
            server.close()
        self._loop.close()

    async def _served(self, listener: socket.socket) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: _Exchange(self._crowd, self._answer), sock=listener, backlog=MAX_CONNECTIONS
        )

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, *self._text()
        if path == "/details":
            return 200, "application/json", json.dumps(self._details()).encode()
        return 404, "text/plain", b"there are /metrics and /details\n"

    def _text(self) -> tuple[str, bytes]:
        now = time.monotonic()
        if now - self._rendered_at >= _RENDERED_SECONDS:
            self._rendered, self._rendered_at = self._metrics.text(), now
        return self._rendered


class _Exchange(asyncio.Protocol):
    """One connection: reads the head of a request, answers, and closes."""

    def __init__(self, crowd: Crowd, answer: Callable[[str], tuple[int, str, bytes]]) -> None:
        self._crowd = crowd
        self._answer = answer
        self._head = bytearray()
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP has no other kind
        self._transport = transport
        self._within(HEAD_SECONDS)
        if not self._crowd.enter(self):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._crowd.leave(self)
        if self._deadline:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._head += data
        if len(self._head) > MAX_HEAD_BYTES:
            self._reply(431, "text/plain", b"the head is too large\n")
        elif b"\r\n\r\n" in self._head:
            method, _, rest = self._head.partition(b" ")
            path = rest.partition(b"\r\n")[0].partition(b" ")[0].partition(b"?")[0].decode("latin-1")
            if method != b"GET":
                self._reply(405, "text/plain", b"there is only GET\n")
            else:
                self._reply(*self._answer(path))

    def abort(self) -> None:
        self._transport.abort()

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        # Who doesn't read the answer waits in the crowd like who doesn't end a request.
        self._within(ANSWER_SECONDS)
        self._transport.write(head.encode("latin-1") + body)
        self._transport.close()

    def _within(self, seconds: float) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)


def serve_metrics(
    host: str, port: int, metrics: Metrics, details: Callable[[], dict[str, Any]]
) -> MetricsListener:
    """Starts a `MetricsListener`; see there."""
    return MetricsListener(host, port, metrics, details)


def _not_counted(_: Reason) -> None:
    """Connections to metrics are nobody's figures."""
