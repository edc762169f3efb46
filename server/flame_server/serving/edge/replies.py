"""Refusals, all in the JSON shape of OAuth errors (RFC 6750), and the paths that checks tell apart."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Scope

MCP_PATH = "/mcp"
METADATA_PATH = "/.well-known/oauth-protected-resource"
"""Where RFC 9728 has a resource describe itself; the path of the resource may follow."""
PREFIX = "flame_mcp.prefix"
"""The entry of the scope with the path prefix by which a request came, which its path no longer has."""
OPEN_PATHS = frozenset({"/health", "/health/ready"})
METADATA_PATHS = frozenset({METADATA_PATH, METADATA_PATH + MCP_PATH})
PAGE_PATHS = frozenset({"/", "/page.css", "/page.js"})


def is_open(scope: Scope) -> bool:
    """Whether a request is a probe: the kubelet sends them by IP address and without a token."""
    return scope["path"] in OPEN_PATHS


def is_page(scope: Scope) -> bool:
    """Whether a request is for the web page: a browser has no token, and the page holds no secret."""
    return scope["path"] in PAGE_PATHS and scope["method"] in ("GET", "HEAD")


def is_metadata(scope: Scope) -> bool:
    """Whether a request is for the metadata that tells clients where to get a token: it is public."""
    return scope["path"] in METADATA_PATHS and scope["method"] in ("GET", "HEAD", "OPTIONS")


def refusal(
    status: int, error: str, description: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A refusal with an error code for programs and a description for people."""
    content = {"error": error, "error_description": description}
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})})
