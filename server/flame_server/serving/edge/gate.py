"""Authentication, then the rate limit. In this order, because the caller decides whose limit applies.

Callers with a valid token have buckets of their own: a subject's, or with a shared token the peer's. All
others of a peer share another one, so that nobody behind the same proxy can use up what belongs to a valid
token. A token is checked even when that bucket is empty: only the check tells whose request it is, it takes
some hundred microseconds, and keys are fetched no more often for it.
"""

import math

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flame_server.serving.edge.auth import Caller, IssuerAwayError, Verifier
from flame_server.serving.edge.rates import RateLimiter, peer_of
from flame_server.serving.edge.replies import (
    MCP_PATH,
    METADATA_PATH,
    METADATA_PATHS,
    PREFIX,
    is_open,
    is_page,
    refusal,
)
from flame_server.serving.metrics import Metrics

_RETRY_SECONDS = 10
_ISSUER_AWAY = "issuer_away"


class _RefusedError(Exception):
    """A request that is answered here.

    Args:
        reason: Label for the metrics; empty for an answer that is not a refusal.
        response: The answer to the client.
        caller: The owner of the request's token, if it is valid.
    """

    def __init__(self, reason: str, response: Response, caller: Caller | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.response = response
        self.caller = caller


class Gate:
    """Lets authenticated requests pass within their rate limit."""

    def __init__(
        self, app: ASGIApp, verifier: Verifier | None, limiter: RateLimiter | None, metrics: Metrics
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._limiter = limiter
        self._strangers = limiter.twin() if limiter and verifier else limiter
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or is_open(scope) or is_page(scope):
            await self._app(scope, receive, send)
            return
        app, reason, caller = self._app, "", None
        if self._verifier is not None:
            try:
                caller = await _allowed(scope, self._verifier)
            except _RefusedError as refused:
                app, reason, caller = refused.response, refused.reason, refused.caller
        # Refused requests count too, so nobody can guess tokens faster than the limit. While the issuer is
        # away, nobody knows which tokens are valid: then none is told to wait for another reason.
        wait = 0.0 if reason == _ISSUER_AWAY else self._take(scope, caller)
        if wait:
            app, reason = _too_many(wait), "rate"
        if reason:
            self._metrics.refused(reason)
        await app(scope, receive, send)

    def _take(self, scope: Scope, caller: Caller | None) -> float:
        limiter = self._strangers if caller is None else self._limiter
        if limiter is None:
            return 0.0
        if caller is not None and caller.subject is not None:
            return limiter.take(f"subject:{caller.subject}")
        return limiter.take(peer_of(scope.get("client")))


async def _allowed(scope: Scope, verifier: Verifier) -> Caller:
    """The caller, who has all scopes."""
    if verifier.issuer and scope["path"] in METADATA_PATHS:
        raise _RefusedError("", _metadata(scope, verifier))
    caller = await _caller(scope, verifier)
    missing = [name for name in verifier.required_scopes if name not in caller.scopes]
    if missing:
        text = f"the token lacks the scope {' '.join(missing)}"
        response = _challenge(scope, verifier, 403, "insufficient_scope", text)
        raise _RefusedError("scope", response, caller)
    return caller


async def _caller(scope: Scope, verifier: Verifier) -> Caller:
    credentials = Headers(scope=scope).getlist("authorization")
    if not credentials:
        raise _RefusedError("no_token", _challenge(scope, verifier))
    kind, _, token = credentials[0].partition(" ")
    if len(credentials) > 1 or kind.lower() != "bearer" or not token.strip():
        text = "give one Authorization header: Bearer TOKEN"
        raise _RefusedError("bad_token", _challenge(scope, verifier, 401, "invalid_request", text))
    try:
        caller = await verifier.verify(token.strip())
    except IssuerAwayError as error:
        text = "tokens cannot be checked now: the issuer does not answer"
        response = refusal(503, "temporarily_unavailable", text, {"Retry-After": str(_RETRY_SECONDS)})
        raise _RefusedError(_ISSUER_AWAY, response) from error
    if caller is None:
        text = "the token is not valid here, or no longer"
        raise _RefusedError("bad_token", _challenge(scope, verifier, 401, "invalid_token", text))
    return caller


def _challenge(
    scope: Scope,
    verifier: Verifier,
    status: int = 401,
    error: str = "",
    text: str = "send Authorization: Bearer TOKEN",
) -> Response:
    """A `WWW-Authenticate` challenge. Without a token it carries no error code (RFC 6750, section 3)."""
    parts = [f'error="{error}"', f'error_description="{text}"'] if error else []
    if verifier.required_scopes:
        parts.append(f'scope="{" ".join(verifier.required_scopes)}"')
    if verifier.issuer:
        parts.append(f'resource_metadata="{_origin(scope)}{METADATA_PATH}{_path(scope)}"')
    header = f"Bearer {', '.join(parts)}" if parts else "Bearer"
    return refusal(status, error or "unauthorized", text, {"WWW-Authenticate": header})


def _too_many(wait: float) -> Response:
    seconds = math.ceil(wait)
    text = f"too many requests: come back in {seconds} s"
    return refusal(429, "too_many_requests", text, {"Retry-After": str(seconds)})


def _metadata(scope: Scope, verifier: Verifier) -> Response:
    """Protected resource metadata (RFC 9728): tells a refused client where to get a token."""
    document = {
        "resource": f"{_origin(scope)}{_path(scope)}",
        "authorization_servers": [verifier.issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "Flame docs",
    }
    if verifier.required_scopes:
        document["scopes_supported"] = list(verifier.required_scopes)
    return JSONResponse(document, headers={"Access-Control-Allow-Origin": "*"})


def _origin(scope: Scope) -> str:
    """This server's address as the client wrote it; a trusted proxy may have told the scheme."""
    return f"{scope['scheme']}://{Headers(scope=scope)['host']}"


def _path(scope: Scope) -> str:
    return f"{scope.get(PREFIX, '')}{MCP_PATH}"
