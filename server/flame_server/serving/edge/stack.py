"""Puts the checks of HTTP requests around an ASGI app, the cheapest check first."""

from starlette.types import ASGIApp

from flame_server.credentials import Credentials
from flame_server.serving.edge.accept import Accept
from flame_server.serving.edge.access_log import AccessLog
from flame_server.serving.edge.auth import BearerVerifier, Verifier
from flame_server.serving.edge.envelope import Envelope
from flame_server.serving.edge.gate import Gate
from flame_server.serving.edge.hosts import HostGuard
from flame_server.serving.edge.limits import InFlight, RequestLimits
from flame_server.serving.edge.rates import RateLimiter
from flame_server.serving.metrics import Metrics
from flame_server.settings import Settings


def with_edge(
    app: ASGIApp,
    settings: Settings,
    credentials: Credentials,
    metrics: Metrics,
    verifier: Verifier | None = None,
) -> ASGIApp:
    """`app` behind the checks that the settings ask for; with a verifier of its own unless there is one."""
    verifier = verifier or create_verifier(settings, credentials)
    gate = Gate(InFlight(Envelope(Accept(app), metrics), metrics), verifier, _limiter(settings), metrics)
    limits = RequestLimits(gate, metrics)
    guard = HostGuard(limits, settings.host, settings.allowed_hosts, metrics, settings.allowed_origins)
    return AccessLog(guard, metrics)


def create_verifier(settings: Settings, credentials: Credentials) -> Verifier | None:
    """The verifier of tokens that the settings ask for; None when no token is needed."""
    if settings.auth_type == "None":
        return None
    if settings.auth_type == "Bearer" and credentials.auth_token:
        return BearerVerifier(credentials.auth_token)
    if settings.auth_type == "OIDC" and settings.auth_oidc_issuer and settings.auth_oidc_audience:
        from flame_server.serving.edge.oidc import OidcVerifier  # noqa: PLC0415 - only where it is used

        return OidcVerifier(
            settings.auth_oidc_issuer, settings.auth_oidc_audience, settings.auth_oidc_required_scopes
        )
    raise ValueError(f"no verifier for {settings.auth_type}: the settings were not checked")


def _limiter(settings: Settings) -> RateLimiter | None:
    if settings.rate_limit_per_minute is None:
        return None
    burst = settings.rate_limit_burst or settings.rate_limit_per_minute
    return RateLimiter(settings.rate_limit_per_minute, burst)
