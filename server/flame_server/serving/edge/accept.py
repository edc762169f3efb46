"""Answers clients whose `Accept` header is missing or names streams alone: MCP here answers with JSON."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flame_server.serving.edge.replies import MCP_PATH

_JSON, _STREAM = "application/json", "text/event-stream"
_TAKES_JSON = {_JSON, "application/*", "*/*"}
_TAKES_STREAMS = {_STREAM, "text/*"}


class Accept:
    """Lets requests pass as if they accepted JSON, and makes a stream of the answer where only that is taken.

    The transport allows a server to answer with either. A header that takes neither is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != MCP_PATH:
            await self._app(scope, receive, send)
            return
        given = ",".join(Headers(scope=scope).getlist("accept"))
        taken = {part.partition(";")[0].strip().lower() for part in given.split(",")}
        as_stream = not taken & _TAKES_JSON and bool(taken & _TAKES_STREAMS)
        if as_stream or not given.strip():
            rest = [header for header in scope["headers"] if header[0] != b"accept"]
            scope = {**scope, "headers": [*rest, (b"accept", f"{_JSON}, {_STREAM}".encode())]}
        await self._app(scope, receive, _Stream(send) if as_stream else send)


class _Stream:
    """Sends an answer in JSON as a stream with one event; other answers as they are."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if message["status"] == 200 and kind.partition(";")[0].strip() == _JSON:
                self._start = message
                return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        event = b"".join(b"data: %s\n" % line for line in bytes(self._body).splitlines() or [b""])
        body = b"event: message\n" + event + b"\n"
        headers = MutableHeaders(raw=list(self._start["headers"]))
        headers["content-type"], headers["content-length"] = _STREAM, str(len(body))
        await self._send({**self._start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})
