"""Protection against DNS rebinding by `Host` and `Origin`; allowed pages may read answers (CORS)."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flame_server.serving.edge.replies import is_metadata, is_open, refusal
from flame_server.serving.metrics import Metrics

_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")

_ORIGIN = "Access-Control-Allow-Origin"
_EXPOSED = "WWW-Authenticate, Retry-After, X-Request-ID, Mcp-Session-Id, Mcp-Protocol-Version"
# No credentials: a token is a header that the page sets itself, and there are no cookies. "*" covers all
# headers but Authorization.
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Max-Age": "600",
    "Vary": "Origin",
}


class HostGuard:
    """Refuses requests for other hosts, and requests from web pages of other hosts.

    Loopback names and IP addresses always pass: DNS rebinding needs a name. Without `allowed`, a server that
    does not listen on loopback accepts any `Host`, because it cannot know its own names, but it still refuses
    web pages of other hosts, which browsers name in `Origin`. The server's own page passes when it was opened
    by IP address.

    `*` among `allowed` is for servers that want a token, which a page under a name of its own doesn't have:
    any `Host` passes, and the server's own page whatever name it was opened by. OAuth metadata is public:
    pages of all origins may read it.

    Args:
        app: The app.
        bound_to: The address that the server listens on.
        allowed: Host names, `*.example.com` for all names below a domain, `*` for all.
        metrics: Where refusals are counted.
        origins: Origins of further pages that may ask, in lower case.
    """

    def __init__(
        self,
        app: ASGIApp,
        bound_to: str,
        allowed: Sequence[str],
        metrics: Metrics,
        origins: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._allowed = tuple(allowed)
        self._every_host = "*" in allowed
        self._any_host = self._every_host or (not allowed and not is_loopback(bound_to))
        self._origins = frozenset(origins)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not is_open(scope):
            headers = Headers(scope=scope)
            hosts, origins = headers.getlist("host"), headers.getlist("origin")
            name = host_name(hosts[0]) if len(hosts) == 1 else ""
            if not name or not (self._any_host or is_address(name) or self._passes(name)):
                await self._refuse("host", "this server does not answer for that host", scope, receive, send)
                return
            passes = all(self._may_ask(origin, hosts[0]) for origin in origins)
            if not passes and not is_metadata(scope):
                await self._refuse("origin", "pages of that origin may not ask here", scope, receive, send)
                return
            if origins:
                await self._answer_page(origins[0] if passes else "*", scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _may_ask(self, origin: str, host: str) -> bool:
        return (
            self._passes(origin_name(origin))
            or origin.lower() in self._origins
            or is_own(origin, host)
            or (self._every_host and origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}"))
        )

    async def _answer_page(self, origin: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request of a web page so that its browser lets the page read the answer."""
        if scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope):
            await Response(status_code=204, headers=_PREFLIGHT | {_ORIGIN: origin})(scope, receive, send)
            return

        async def readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault(_ORIGIN, origin)
                headers.setdefault("Access-Control-Expose-Headers", _EXPOSED)
                headers.add_vary_header("Origin")
            await send(message)

        await self._app(scope, receive, readable)

    def _passes(self, name: str) -> bool:
        return is_loopback(name) or any(_matches(name, pattern) for pattern in self._allowed)

    async def _refuse(self, reason: str, text: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.refused(reason)
        where = {
            "host": "add it to service.hostnames of the FlameMCPServer, or to FLAME_MCP_ALLOWED_HOSTS",
            "origin": "add it to cors.allowedOrigins of the FlameMCPServer, or to FLAME_MCP_ALLOWED_ORIGINS",
        }[reason]
        description = f"{text}: {where}"
        await refusal(403, f"forbidden_{reason}", description)(scope, receive, send)


def host_name(host: str) -> str:
    """The name in a `Host` header, without port and final dot; empty when it is not a host."""
    match = _HOST.fullmatch(host)
    return (match["address"] or match["name"]).lower().rstrip(".") if match else ""


def origin_name(origin: str) -> str:
    """The host name in an `Origin` header; empty for `null` and when it is not an origin."""
    scheme, _, host = origin.partition("://")
    return host_name(host) if scheme in ("http", "https") else ""


def is_own(origin: str, host: str) -> bool:
    """Whether an origin is the IP address and port of the request itself: the page came from this server."""
    return origin in (f"http://{host}", f"https://{host}") and is_address(host_name(host))


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether a name always means this machine."""
    return name == "localhost" or (is_address(name) and ip_address(name).is_loopback)


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) >= len(pattern)
    return name == pattern
