"""Refuses bodies that are not JSON-RPC requests, with a plain message, before MCP parses them."""

import json
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flame_server.serving.edge.limits import replay
from flame_server.serving.metrics import Metrics

# JSON-RPC 2.0, section 5.1.
_PARSE_ERROR = -32_700
_INVALID_REQUEST = -32_600
# Deeper than any MCP request, and far below the recursion limit of parsers.
_MAX_DEPTH = 64
# Far more values than any MCP request has. Each may cost a hundred times its bytes once it is parsed.
_MAX_VALUES = 2_000


class Envelope:
    """Lets JSON-RPC 2.0 requests and notifications pass; expects the whole body in one message."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        message = await receive()
        problem = _problem(message["body"])
        if problem is not None:
            self._metrics.refused("message")
            code, text = problem
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}
            await JSONResponse(error, 400)(scope, receive, send)
            return
        await self._app(scope, replay(message, receive), send)


def _problem(body: bytes) -> tuple[int, str] | None:
    # Counted before parsing; commas and brackets within texts count too.
    if sum(body.count(mark) for mark in b",[{") > _MAX_VALUES:
        return _PARSE_ERROR, f"the body is not JSON in UTF-8 with at most {_MAX_VALUES} values"
    try:
        message = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return _PARSE_ERROR, "the body is not JSON in UTF-8"
    text = _fault(message)
    return (_INVALID_REQUEST, text) if text else None


def _fault(message: object) -> str:
    if isinstance(message, list):
        return "batches are not supported: send one request a body"
    if not isinstance(message, dict):
        return "the body is not a JSON object"
    checks = (
        (
            message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str),
            'a request has "jsonrpc": "2.0" and a method',
        ),
        (isinstance(message.get("params", {}), dict), "params must be an object"),
        (type(message.get("id", "")) in (int, str), "id must be a string or an integer"),
        (_is_plain(message), f"it nests deeper than {_MAX_DEPTH} levels or holds broken Unicode"),
    )
    return next((text for holds, text in checks if not holds), "")


def _is_plain(message: dict[str, Any]) -> bool:
    """Whether a message is not too deep and its texts can be encoded: JSON may hold lone surrogates."""
    waiting: list[tuple[Any, int]] = [(message, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _MAX_DEPTH or (isinstance(value, str) and not _encodable(value)):
            return False
        if isinstance(value, dict):
            waiting.extend((item, depth + 1) for pair in value.items() for item in pair)
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
    return True


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
