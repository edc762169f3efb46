"""Refusals: one JSON shape for all of them, that of OAuth's errors (RFC 6750)."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Scope

OPEN_PATHS = frozenset({"/health", "/health/ready"})
PAGE_PATHS = frozenset({"/", "/page.css", "/page.js"})


def is_open(scope: Scope) -> bool:
    """Whether a path is a probe's: the kubelet asks by IP address and has no token."""
    return scope["path"] in OPEN_PATHS


def is_page(scope: Scope) -> bool:
    """Whether a request is for the page: a browser has no token to open it, and there is no secret in it."""
    return scope["path"] in PAGE_PATHS and scope["method"] in ("GET", "HEAD")


def refusal(
    status: int, error: str, description: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A refusal with a code for programs and words for people."""
    content = {"error": error, "error_description": description}
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})})
