"""Prometheus metrics, served on a port of their own that clients need not reach."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

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

# Finest around the target: 100 ms at the 99th percentile.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REASONS = (
    "host", "origin", "headers", "body", "timeout", "no_token", "bad_token", "scope", "issuer_away", "rate",
    "busy", "message",
)  # fmt: skip
_CLOSED = ("head", "body", "write", "full")
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
        self._closed = self._counter(
            "closed_connections",
            "Connections that were closed before their client was done",
            "reason",
            _CLOSED,
        )
        self._connections = Gauge("flame_mcp_connections", "Open connections", registry=self.registry)
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

    def gave_up(self, reason: str) -> None:
        """Counts a connection that was closed before its client was done."""
        self._closed.labels(reason).inc()

    def count_connections(self, count: Callable[[], int]) -> None:
        """Asks `count` for the number of open connections whenever metrics are read."""
        self._connections.set_function(count)

    def text(self) -> tuple[str, bytes]:
        """All metrics and their content type, as Prometheus reads them."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.registry)

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
