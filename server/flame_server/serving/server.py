"""Runs the server: opens the index, serves HTTP or stdio, and finishes requests in flight at the end."""

import asyncio
import signal
import socket
from types import FrameType

import structlog
from starlette.types import ASGIApp

from flame_server.credentials import Credentials
from flame_server.errors import FlameMcpError
from flame_server.logs import configure_logging
from flame_server.search.factory import open_search_service
from flame_server.serving.edge.stack import create_verifier, with_edge
from flame_server.serving.listeners.bounded_http import KEPT_WAITING, run_server
from flame_server.serving.listeners.metrics_port import serve_metrics
from flame_server.serving.listeners.paths import Paths
from flame_server.serving.listeners.proxies import ProxyHeaders
from flame_server.serving.listeners.sockets import listen, shown
from flame_server.serving.metrics import Metrics
from flame_server.serving.readiness import Readiness
from flame_server.settings import Settings

_log = structlog.get_logger(__name__)


def serve_http(settings: Settings, credentials: Credentials) -> None:
    """Serves `/mcp`, `/health` and `/health/ready` until SIGTERM or SIGINT; then finishes requests in flight.

    Raises:
        FlameMcpError: The index cannot be opened, or the port is taken. Failing at once is visible in
            `kubectl get pods` and in the last line of the log; a process that stays up unready is not.
    """
    configure_logging(settings.log_level, settings.log_format)
    metrics = Metrics()
    searcher = open_search_service(settings, credentials, metrics)
    # Imported after the model is loaded: loading needs 130 MiB for a moment, which the framework then reuses
    # (measured).
    from flame_server.serving.app import create_server  # noqa: PLC0415

    verifier = create_verifier(settings, credentials)
    readiness = Readiness(searcher, verifier)
    app = create_server(searcher, settings, metrics, readiness).http_app(
        path="/mcp", stateless_http=True, json_response=True, host_origin_protection=False
    )
    # They would name the scheme that the proxy in front of this server used, which need not be the client's.
    app.router.redirect_slashes = False
    edge: ASGIApp = Paths(
        with_edge(app, settings, credentials, metrics, verifier), settings.path_prefix or ""
    )
    if settings.trusted_proxies:
        edge = ProxyHeaders(edge, settings.trusted_proxies)
    traces = None
    if settings.tracing_endpoint is not None:
        from flame_server.serving.tracing import Traced, start_tracing  # noqa: PLC0415 - only where it is asked for

        traces = start_tracing(settings.tracing_endpoint)
        edge = Traced(edge)
    listeners = _listen(settings.host, settings.port)
    if settings.metrics_port is not None:
        serve_metrics(settings.host, settings.metrics_port, metrics, readiness.details)
    # uvicorn raises the signal again when it is done; being asked to stop is not a failure.
    signal.signal(signal.SIGTERM, _already_handled)
    signal.signal(signal.SIGINT, _already_handled)
    _log.info(
        "serving",
        url=f"http://{shown(settings.host, settings.port)}/mcp",
        auth=settings.auth_type,
        **(searcher.index or {}),
    )
    run_server(edge, listeners, metrics, settings.shutdown_grace_seconds)
    if traces is not None:
        traces.shutdown()
    _log.info("stopped")


def serve_stdio(settings: Settings, credentials: Credentials) -> None:
    """Serves one client over standard input and output until it closes them.

    Raises:
        FlameMcpError: The index cannot be opened.
    """
    configure_logging(settings.log_level, settings.log_format)
    searcher = open_search_service(settings, credentials, Metrics())
    from flame_server.serving.app import create_server  # noqa: PLC0415 - as above

    asyncio.run(create_server(searcher, settings).run_stdio_async(show_banner=False))


def _listen(host: str, port: int) -> list[socket.socket]:
    try:
        found = listen(host, port, KEPT_WAITING)
    except OSError as error:
        raise FlameMcpError(
            f"cannot listen on {shown(host, port)}: {error.strerror}: set FLAME_MCP_HOST and FLAME_MCP_PORT"
        ) from error
    # Accepted connections inherit this. asyncio sets it only on sockets that it created itself. Without it,
    # the second part of an answer waits 40 ms until the client acknowledges the first.
    for listener in found:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def _already_handled(number: int, frame: FrameType | None) -> None:
    del number, frame
