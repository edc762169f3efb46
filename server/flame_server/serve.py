"""Running the server: opened index, transport, and an end that finishes what is in flight."""

import asyncio
import signal
import socket
import time
from types import FrameType

import structlog
import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flame_server.app import create_server
from flame_server.errors import FlameMcpError
from flame_server.logs import configure_logging
from flame_server.search import open_searcher
from flame_server.settings import Settings

_log = structlog.get_logger(__name__)


def serve_http(settings: Settings) -> None:
    """Serves `/mcp`, `/health` and `/health/ready` until SIGTERM or SIGINT; then finishes what is in flight.

    Raises:
        FlameMcpError: The index cannot be opened, or the port is taken. Failing at once shows in
            `kubectl get pods` and in the log's last line; a process that stays up unready shows in neither.
    """
    configure_logging(settings.log_level, settings.log_format)
    searcher = open_searcher(settings.index_dir, settings.embedding_type)
    app = create_server(searcher, settings).http_app(
        path="/mcp", stateless_http=True, json_response=True, middleware=[Middleware(AccessLog)]
    )
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
    )
    listener = _listen(settings.host, settings.port)
    # uvicorn raises the signal again when it is done; being asked to stop is no failure.
    signal.signal(signal.SIGTERM, _already_handled)
    signal.signal(signal.SIGINT, _already_handled)
    _log.info("serving", url=f"http://{settings.host}:{settings.port}/mcp", **searcher.manifest.summary())
    uvicorn.Server(config).run(sockets=[listener])
    _log.info("stopped")


def serve_stdio(settings: Settings) -> None:
    """Serves one client over standard input and output until it closes them.

    Raises:
        FlameMcpError: The index cannot be opened.
    """
    configure_logging(settings.log_level, settings.log_format)
    searcher = open_searcher(settings.index_dir, settings.embedding_type)
    asyncio.run(create_server(searcher, settings).run_stdio_async(show_banner=False))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise FlameMcpError(
            f"cannot listen on {host}:{port}: {error.strerror}: set FLAME_MCP_HOST and FLAME_MCP_PORT"
        ) from error


def _already_handled(number: int, frame: FrameType | None) -> None:
    del number, frame


class AccessLog:
    """One event a request: method, path, status and time, nothing of what was asked. Probes only at debug."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            event = _log.debug if scope["path"].startswith("/health") else _log.info
            milliseconds = round((time.monotonic() - started) * 1000, 1)
            event(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=milliseconds,
            )
