"""Refusals, all in the JSON shape of OAuth errors (RFC 6750), and the paths that need no token."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Scope

OPEN_PATHS = frozenset({"/health", "/health/ready"})
PAGE_PATHS = frozenset({"/", "/page.css", "/page.js"})


def is_open(scope: Scope) -> bool:
    """Whether a request is a probe: the kubelet sends them by IP address and without a token."""
    return scope["path"] in OPEN_PATHS


def is_page(scope: Scope) -> bool:
    """Whether a request is for the web page: a browser has no token, and the page holds no secret."""
    return scope["path"] in PAGE_PATHS and scope["method"] in ("GET", "HEAD")


def refusal(
    status: int, error: str, description: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A refusal with an error code for programs and a description for people."""
    content = {"error": error, "error_description": description}
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})})
