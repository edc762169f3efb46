"""The access log: one event for each request, with an id that all events of the request share."""

import asyncio
import re
import secrets
import time

import structlog
from h11 import LocalProtocolError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flame_server.serving.edge.replies import is_open
from flame_server.serving.metrics import Metrics

_HEADER = "X-Request-ID"
# The id that a client sends is written to the log, so it must not be able to forge events or fill the log.
_USABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger(__name__)


class AccessLog:
    """Logs method, path, status and duration of each request, never its body. Probes only at debug."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        given = Headers(scope=scope).get(_HEADER, "")
        request_id = given if _USABLE.fullmatch(given) else secrets.token_hex(8)
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_HEADER] = request_id
            try:
                await send(message)
            except LocalProtocolError:
                # The bytes after the request's head were not HTTP: uvicorn has answered 400 and closes the
                # connection, which it notices itself in the next iteration of the loop.
                await asyncio.sleep(0)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, watch)
            finally:
                seconds = time.monotonic() - started
                probe = is_open(scope)
                if not probe:
                    self._metrics.responded(status, seconds)
                (_log.debug if probe else _log.info)(
                    "request",
                    method=scope["method"][:20],
                    path=scope["path"][:256],
                    status=status,
                    milliseconds=round(seconds * 1000, 1),
                )
