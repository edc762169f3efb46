"""Requests that are costly to read (L12): nothing that grows with the input runs for more than 50 ms."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from flame_server.serving import tracing
from flame_server.serving.edge.envelope import _problem
from flame_server.serving.edge.limits import MAX_BODY_BYTES, MAX_HEADER_BYTES, InFlight
from flame_server.serving.listeners.bounded_http import BoundedHttp
from flame_server.serving.metrics import Metrics
from tests.support.server.asgi import edge, fetch
from tests.support.slowness import quickest, slowness

START = b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": '
SHAPES = {
    "numbers": b"[" + b"1," * 40_000,
    "lists": b"[" + b"[]," * 40_000,
    "objects": b"[" + b"{}," * 40_000,
    "nested": b"[" * 60_000,
    "keys": b"{" + b'"":0,' * 20_000,
    "a long text": b'"' + b"x" * 64_000 + b'"}}',
    "a text of escapes": b'"' + b"\\ud83d\\udd25" * 5_000 + b'"}}',
    "long numbers": b"[" + (b"9" * 4_300 + b",") * 14 + b"0]}}",
    "a number without end": b"9" * 64_000,
    "floats": b"[" + (b"1e308" + b"0" * 25 + b",") * 1_900 + b"0]}}",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_largest_body_is_read_in_time(shape: bytes) -> None:
    """L12: a body of 64 kB, made of what is most costly to parse."""
    body = (START + shape)[:MAX_BODY_BYTES]
    took = quickest(lambda: _problem(body))
    print(f"{took * 1000:.1f} ms")
    assert took < 0.05 * slowness()


@pytest.mark.parametrize("shape", ["numbers", "lists", "objects", "keys"])
async def test_values_are_counted_before_they_are_parsed(shape: str) -> None:
    """L12: 64 kB of small values would be 2 MB of objects, in each of many requests at once."""
    response = await fetch(edge(), content=(START + SHAPES[shape])[:MAX_BODY_BYTES])
    assert response.status_code == 400
    assert "at most 2000 values" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 60_000,
        b"\r\n" * 60_000,
        b"GET / HTTP/1.1\r\na:" + b"x\r\n y" * 50_000,
    ],
    ids=["lines", "empty lines", "folded lines"],
)
def test_the_largest_head_is_read_in_time(head: bytes) -> None:
    """L12: as much as asyncio would read at once, in the shortest lines."""

    def read() -> None:
        parser = BoundedHttp()
        parser.receive_data(head + b"\r\n\r\n")
        with pytest.raises(Exception, match=r"too large|no request line"):
            parser.next_event()

    assert quickest(read) < 0.05


def test_the_smallest_chunks_are_read_in_time() -> None:
    """L12: a read's worth of chunks of one byte."""
    parser = BoundedHttp()
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.next_event()
    part = (b"1\r\nx\r\n" * 3_000)[:MAX_HEADER_BYTES]

    def read() -> None:
        nonlocal parser
        parser = BoundedHttp()
        parser.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + part)
        for _ in range(2_000):
            parser.next_event()

    assert quickest(read) < 0.05


async def test_too_many_requests_at_once_are_told_so_but_for_probes() -> None:
    """What is being answered is bounded too (L12): 300 requests at once, and a probe."""
    going_on = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await going_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    metrics = Metrics()
    app = InFlight(slow, metrics)
    asked = [asyncio.create_task(fetch(app)) for _ in range(300)]
    probe = asyncio.create_task(fetch(app, "GET", "/health"))
    await asyncio.sleep(0.2)
    going_on.set()
    answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers].count(503) == 300 - 256
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 503)
    assert (await probe).status_code == 200
    assert (await fetch(app)).status_code == 200


async def test_a_method_of_15_kilobytes_fills_no_log() -> None:
    """Attack 64's kind: anybody wrote lines as long as a request's head."""
    with capture_logs() as events:
        await fetch(edge(), "A" * 15_000, "/" + "b" * 1_000)
    assert all(len(str(event)) < 1_000 for event in events)
    assert any(event.get("method") == "A" * 20 for event in events)


async def test_a_method_of_15_kilobytes_fills_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same kind: 2,048 spans wait for their collector, each with its method twice: 60 MB."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    await fetch(tracing.Traced(edge()), "A" * 15_000, "/" + "b" * 15_000)
    (span,) = kept.get_finished_spans()
    assert span.name == f"HTTP {'A' * 20}"
    assert len(span.to_json()) < 2_000
