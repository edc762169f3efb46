"""Limits on the size of a request and on the time that it takes to arrive."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flame_server.serving.edge.replies import is_open, refusal
from flame_server.serving.metrics import Metrics

# A question has at most 512 characters; initialize with everything that clients announce is about 2 kB.
MAX_BODY_BYTES = 65_536
# Room for a token of 8 kB and for what gateways add.
MAX_HEADER_BYTES = 16_384
MAX_HEADERS = 100
BODY_SECONDS = 10.0
# One search takes some 20 ms on one core: whoever came later would wait longer than clients do.
MAX_IN_FLIGHT = 256
MAX_PROBES = 32
_BUSY_SECONDS = "5"


class RequestLimits:
    """Reads the whole body first, so that no client can hold a request open for ever."""

    def __init__(self, app: ASGIApp, metrics: Metrics, body_seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._metrics = metrics
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = b""
        problem = _headers_problem(scope)
        if problem is None:
            try:
                async with asyncio.timeout(self._body_seconds):
                    body, problem = await _read_body(receive)
            except TimeoutError:
                problem = refusal(408, "request_timeout", "the request's body did not arrive in time")
            except ClientDisconnect:
                return
        if problem is not None:
            self._metrics.refused({408: "timeout", 413: "body", 431: "headers"}[problem.status_code])
            problem.headers["Connection"] = "close"
            await problem(scope, receive, send)
            return
        await self._app(
            scope, replay({"type": "http.request", "body": body, "more_body": False}, receive), send
        )


class InFlight:
    """Bounds the requests that are being answered: their memory, and how long the last one waits.

    Probes have places of their own, so that a busy server is not taken for a broken one.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, requests: int = MAX_IN_FLIGHT, probes: int = MAX_PROBES
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._free = {False: requests, True: probes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        # /health does no work, and must be answered whatever others ask: the kubelet restarts the pod else.
        if scope["type"] != "http" or scope["path"] == "/health":
            await self._app(scope, receive, send)
            return
        probe = is_open(scope)
        if not self._free[probe]:
            self._metrics.refused("busy")
            headers = {"Retry-After": _BUSY_SECONDS}
            await refusal(503, "busy", "too many requests are being answered", headers)(scope, receive, send)
            return
        self._free[probe] -= 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._free[probe] += 1


def _headers_problem(scope: Scope) -> Response | None:
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    if size > MAX_HEADER_BYTES or len(headers) > MAX_HEADERS:
        limits = f"{MAX_HEADER_BYTES} bytes in {MAX_HEADERS} headers"
        return refusal(431, "headers_too_large", f"the limit is {limits}")
    declared = dict(headers).get(b"content-length", b"0")
    # uvicorn has refused anything that is not a number.
    return _too_large() if int(declared) > MAX_BODY_BYTES else None


async def _read_body(receive: Receive) -> tuple[bytes, Response | None]:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return b"", _too_large()
        if not message.get("more_body", False):
            return bytes(body), None


def _too_large() -> Response:
    return refusal(413, "body_too_large", f"the body's limit is {MAX_BODY_BYTES} bytes")


def replay(message: Message, receive: Receive) -> Receive:
    """A `receive` that returns a message again that was already read, and then the ones after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return message

    return again
