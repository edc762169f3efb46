"""OpenTelemetry traces over OTLP/HTTP. Imported only when tracing is configured."""

from importlib.metadata import version as installed_version

from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flame_server.serving.edge.replies import is_open

# How long an export may take, and so how long an unreachable collector may delay the end of the process.
_EXPORT_SECONDS = 3


def start_tracing(endpoint: str) -> TracerProvider:
    """Sends spans to the collector at `endpoint`, in batches from a thread of its own.

    Returns:
        The provider. Shut it down at the end, so that the last spans are sent.
    """
    resource = Resource.create(
        {"service.name": "flame-mcp", "service.version": installed_version("flame-mcp-server")}
    )
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


class Traced:
    """Makes a span for each request except probes, as a child of the caller's span (W3C Trace Context)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tracer = trace.get_tracer("flame_server")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or is_open(scope):
            await self._app(scope, receive, send)
            return
        # As in the access log: anybody may send a method as long as a request's head.
        method = scope["method"][:20]
        token = context.attach(propagate.extract(dict(Headers(scope=scope))))
        try:
            with self._tracer.start_as_current_span(
                f"HTTP {method}",
                kind=trace.SpanKind.SERVER,
                attributes={"http.request.method": method, "url.path": scope["path"][:256]},
            ) as span:

                async def watch(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                    await send(message)

                await self._app(scope, receive, watch)
        finally:
            context.detach(token)
