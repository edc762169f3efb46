"""Routes of the web page: its HTML, CSS and JavaScript, with strict security headers."""

from html import escape
from importlib import resources
from importlib.metadata import version
from string import Template

from fastmcp import FastMCP
from starlette.requests import Request
from starlette.responses import Response

from flame_server.settings import Settings

# Nothing from other origins, nothing inline, no frame around the page; and no string becomes markup.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def register(mcp: FastMCP, settings: Settings) -> None:
    """Adds the page to a server, unless the settings turn it off. `edge.replies` lists its paths."""
    if not settings.page:
        return
    page = Template(_static("page.html")).substitute(
        version=escape(version("flame-mcp-server")),
        auth=escape(settings.auth_type),
        embedding=escape(settings.embedding_type),
    )
    _serve(mcp, "/", page, "text/html")
    _serve(mcp, "/page.css", _static("page.css"), "text/css")
    _serve(mcp, "/page.js", _static("page.js"), "text/javascript")


def _serve(mcp: FastMCP, path: str, text: str, media_type: str) -> None:
    body = text.encode()

    @mcp.custom_route(path, methods=["GET"], include_in_schema=False)
    async def answer(_: Request) -> Response:
        return Response(body, media_type=media_type, headers=_HEADERS)


def _static(name: str) -> str:
    return resources.files("flame_server.serving.page").joinpath("static", name).read_text("utf-8")
