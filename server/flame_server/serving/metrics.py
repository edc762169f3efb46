"""Prometheus metrics, served on a port of their own that clients need not reach."""

import json
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import (
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from flame_server.embedding.errors import REASONS, Reason
from flame_server.errors import FlameMcpError

# Finest around the target: 100 ms at the 99th percentile.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REASONS = (
    "host", "origin", "headers", "body", "timeout", "no_token", "bad_token", "scope", "issuer_away", "rate",
    "message",
)  # fmt: skip
_OUTCOMES = ("answered", "degraded", "refused", "failed")
Index = dict[str, Any]


class Metrics:
    """The counters of one server. Names and labels are part of the interface: see docs/server.md."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(PROCESS_COLLECTOR)
        self._calls = self._counter("tool_calls", "Calls of tools by outcome", "outcome", _OUTCOMES)
        self._call_seconds = Histogram(
            "flame_mcp_tool_call_seconds", "Time of a tool's call", buckets=_SECONDS, registry=self.registry
        )
        self._responses = self._counter("http_responses", "HTTP responses but those to probes", "code", ())
        self._response_seconds = Histogram(
            "flame_mcp_http_response_seconds", "Time of a request", buckets=_SECONDS, registry=self.registry
        )
        self._refused = self._counter(
            "refused_requests", "Requests that were turned away", "reason", _REASONS
        )
        self._embedding_errors = self._counter(
            "embedding_errors", "Questions that an embedding service gave no vector", "reason", REASONS
        )
        self._index_info = Gauge(
            "flame_mcp_index_info",
            "Always 1: which index is served",
            ("version", "revision", "generation", "embedding"),
            registry=self.registry,
        )
        self._index_chunks = Gauge("flame_mcp_index_chunks", "Passages served", registry=self.registry)
        self._index_documents = Gauge("flame_mcp_index_documents", "Pages served", registry=self.registry)
        self._index_created = Gauge(
            "flame_mcp_index_created_timestamp_seconds",
            "Unix time at which the index was built",
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, label: str, values: tuple[str, ...]) -> Counter:
        counter = Counter(f"flame_mcp_{name}", text, (label,), registry=self.registry)
        for value in values:
            # Starts each counter at 0: a rate would miss the first event of a counter that begins at 1.
            counter.labels(value)
        return counter

    def called(self, outcome: str, seconds: float) -> None:
        """Counts a tool's call: `answered`, `degraded`, `refused` (wrong arguments) or `failed`."""
        self._calls.labels(outcome).inc()
        self._call_seconds.observe(seconds)

    def responded(self, status: int, seconds: float) -> None:
        """Counts an HTTP response; status 0 when the client was gone."""
        self._responses.labels(str(status)).inc()
        self._response_seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        """Counts a request that was turned away before it reached MCP."""
        self._refused.labels(reason).inc()

    def embedding_failed(self, reason: Reason) -> None:
        """Counts a query that got no vector."""
        self._embedding_errors.labels(reason).inc()

    def serves(self, index: Index) -> None:
        """Records which index is served."""
        self._index_info.clear()
        labels = (str(index[name] or "") for name in ("version", "revision", "generation", "embedding"))
        self._index_info.labels(*labels).set(1)
        self._index_chunks.set(index["chunks"])
        self._index_documents.set(index["documents"])
        self._index_created.set(datetime.fromisoformat(index["created"]).timestamp())


def serve_metrics(
    host: str, port: int, metrics: Metrics, details: Callable[[], Index]
) -> ThreadingHTTPServer:
    """Serves `/metrics`, and `/details` as JSON, from a thread of its own until the process ends.

    In a thread, so that a scrape succeeds even while the server is busy or finishes its last requests.

    Raises:
        FlameMcpError: The port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        # Seconds: no client may hold a thread for ever.
        timeout = 10

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/metrics":
                self._reply(200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(metrics.registry))
            elif path == "/details":
                self._reply(200, "application/json", json.dumps(details()).encode())
            else:
                self._reply(404, "text/plain", b"there are /metrics and /details\n")

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Logs nothing: scrapes are not worth a line."""

    try:
        server = (_ServerIPv6 if ":" in host else _Server)((host, port), Handler)
    except OSError as error:
        raise FlameMcpError(
            f"cannot listen on {host}:{port}: {error.strerror}: set FLAME_MCP_METRICS_PORT"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def server_bind(self) -> None:
        # The inherited method looks up this machine's name in the DNS, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _ServerIPv6(_Server):
    address_family = socket.AF_INET6
