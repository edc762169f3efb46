"""Requests to an ASGI application in this process, and applications to put behind the edge."""

from typing import Any

import httpx2
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flame_server.credentials import Credentials
from flame_server.serving.edge.stack import with_edge
from flame_server.serving.metrics import Metrics
from flame_server.settings import Settings

RequestHeaders = dict[str, str] | list[tuple[str, str]] | list[tuple[bytes, bytes]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long the body was that it got."""
    message = await receive()
    await JSONResponse({"bytes": len(message["body"]), "path": scope["path"]})(scope, receive, send)


async def fetch(
    app: ASGIApp,
    method: str = "POST",
    path: str = "/mcp",
    *,
    headers: RequestHeaders | None = None,
    content: bytes = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}',
    peer: str = "10.0.0.1",
    base: str = "http://localhost:8000",
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app, client=(peer, 50_000))
    async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
        return await client.request(method, path, headers=headers, content=content)


def edge(
    metrics: Metrics | None = None, credentials: Credentials | None = None, **settings: object
) -> ASGIApp:
    """`echo` behind the checks of these settings."""
    values: dict[str, Any] = settings
    return with_edge(echo, Settings(**values), credentials or Credentials(), metrics or Metrics())


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"flame_mcp_{name}", labels) or 0.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
