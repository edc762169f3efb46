"""Reads from the headers of trusted proxies who the client is, and which scheme it used."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

PRIVATE = "private"
"""Stands for the peer of a connection whose address is private, and for no proxy behind it."""
_PRIVATE = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
        ),
    )
)
_FOR, _PROTO = b"x-forwarded-for", b"x-forwarded-proto"


class ProxyHeaders:
    """Replaces the peer of a request by the client that trusted proxies name, and the scheme likewise.

    The client is the last address in `X-Forwarded-For` that is no trusted proxy: each proxy adds the address
    of its own peer at the end, so that what a client writes there itself is never reached. With `private`,
    only the very last address counts, whatever it is: nothing is known of further proxies.

    Args:
        app: The app.
        trusted: IP addresses and CIDR ranges of proxies, or only `private`.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self._app = app
        self._nearest = tuple(trusted) == (PRIVATE,)
        # "*" believes the first address, and with `private` there is only one.
        proxies = "*" if self._nearest else list(trusted)
        self._believing = cast("ASGIApp", ProxyHeadersMiddleware(app, proxies))  # type: ignore[arg-type] # ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or (self._nearest and not _is_private(scope.get("client"))):
            await self._app(scope, receive, send)
            return
        # A copy, because the library changes the scope in place.
        await self._believing({**scope, "headers": self._headers(scope)}, receive, send)

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = []
        for name, value in scope["headers"]:
            if name == _FOR and self._nearest:
                headers = [header for header in headers if header[0] != _FOR]
                headers.append((name, value.rpartition(b",")[2].strip()))
            elif name == _PROTO:
                # With several, the first is what the client used; it is only echoed.
                headers.append((name, value.partition(b",")[0].strip().lower()))
            else:
                headers.append((name, value))
        return headers


def _is_private(client: tuple[str, int] | None) -> bool:
    try:
        address = ip_address(client[0].partition("%")[0] if client else "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in _PRIVATE)
