"""Attack 6 (H5): any pod connects to the operator's ports for probes and metrics, and never ends its request.

Before: 150 connections with heads of 210 kB took 60 MiB and were never closed; 1,500 took 183 MiB.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from flame_operator.telemetry.http_server import (
    ANSWER_SECONDS,
    ANSWERS_PER_SECOND,
    HEAD_SECONDS,
    MAX_CONNECTIONS,
)
from tests.support.operator.listening import HEAD_OF_210_KB, Listener, listener
from tests.support.slowness import slowness

SLACK = 10
"""Seconds that a busy machine may add."""


@pytest.fixture
def operator() -> Iterator[Listener]:
    with listener() as running:
        yield running


@pytest.fixture(scope="module")
def lasting() -> Iterator[Listener]:
    with listener() as running:
        yield running


async def seconds_until_closed(listener: Listener, *pieces: bytes, source: str = "127.0.0.2") -> float:
    """How long a connection stays open that sends these pieces and no more."""
    began = time.monotonic()
    with suppress(OSError):
        async with listener.connection(source) as (reader, writer):
            for piece in pieces:
                writer.write(piece)
            async with asyncio.timeout(HEAD_SECONDS + SLACK + 30):
                while await reader.read(65_536):
                    pass
    return time.monotonic() - began


@pytest.mark.parametrize("count", [150, 1500])
async def test_connections_that_never_end_a_large_head(operator: Listener, count: int) -> None:
    slow = [asyncio.create_task(seconds_until_closed(operator, HEAD_OF_210_KB)) for _ in range(count)]
    assert (await operator.probe(20))[0] == 20
    assert max(await asyncio.gather(*slow)) < HEAD_SECONDS + SLACK
    costs = operator.costs()
    assert costs.grown_mib < 8
    assert costs.late_ms < 50 * slowness()


async def test_connections_that_never_end_a_small_head(operator: Listener) -> None:
    """From one address: the kubelet and Prometheus, which have others, always get through."""
    slow = [
        asyncio.create_task(seconds_until_closed(operator, b"GET /healthz HTTP/1.1\r\nX: "))
        for _ in range(300)
    ]
    answered, seconds = await operator.probe(100)
    assert (answered, seconds < 5) == (100, True)
    times = sorted(await asyncio.gather(*slow))
    assert times[-1] < HEAD_SECONDS + SLACK
    # Those that found room were closed by the clock, the others at once.
    assert sum(time > HEAD_SECONDS - 1 for time in times) <= MAX_CONNECTIONS


async def test_connections_from_many_addresses(operator: Listener) -> None:
    """As many addresses as there is room, and more, each with one connection that hangs or comes again."""
    stop = asyncio.Event()

    async def returns(source: str) -> None:
        while not stop.is_set():
            await seconds_until_closed(operator, b"G", source=source)

    hostile = [asyncio.create_task(returns(f"127.0.1.{n}")) for n in range(1, 2 * MAX_CONNECTIONS)]
    answered, seconds = await operator.probe(100)
    stop.set()
    await asyncio.gather(*hostile)
    # Kubelets ask three times before they act on it.
    assert answered >= 95
    assert seconds < 5


async def test_clients_that_drip_or_do_not_read(operator: Listener) -> None:
    """One sends its head byte by byte, one never takes the answer of 20 MB."""

    async def drips() -> float:
        began = time.monotonic()
        with suppress(OSError):
            async with operator.connection() as (_, writer):
                while time.monotonic() - began < HEAD_SECONDS + SLACK:
                    writer.write(b"G")
                    await writer.drain()
                    await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def never_reads() -> int:
        received = 0
        with suppress(OSError):
            async with operator.connection() as (reader, writer):
                writer.write(b"GET /large HTTP/1.1\r\n\r\n")
                await asyncio.sleep(ANSWER_SECONDS + 2)
                while piece := await reader.read(1 << 20):
                    received += len(piece)
        return received

    seconds, received = await asyncio.gather(drips(), never_reads())
    assert seconds < HEAD_SECONDS
    assert received < 19_000_000


async def test_requests_for_pages_that_take_time(operator: Listener) -> None:
    """Whoever asks for metrics again and again gets the same page for up to a second."""
    answered = 0

    async def asks() -> None:
        nonlocal answered
        while answered < 200:
            with suppress(OSError):
                async with operator.connection("127.0.0.2") as (reader, writer):
                    writer.write(b"GET /heavy HTTP/1.1\r\n\r\n")
                    answered += (await reader.read()).endswith(b"metrics")

    hostile = [asyncio.create_task(asks()) for _ in range(16)]
    assert (await operator.probe(50))[0] == 50
    await asyncio.gather(*hostile)
    costs = operator.costs()
    assert costs.latest_ms < 250 * slowness()
    assert costs.cpu_seconds < 0.02 * ANSWERS_PER_SECOND * (costs.seconds + 1) + 0.001 * answered + 0.5


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n", 200),
        (b"GET /healthz?verbose HTTP/1.0\r\nContent-Length: 99999999\r\n\r\n", 200),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 200),
        (b"POST /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 405),
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xff\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1400, 431),
    ],
)
async def test_one_answer_and_the_end(lasting: Listener, request_: bytes, status: int) -> None:
    async with asyncio.timeout(HEAD_SECONDS):
        answer = b""
        with suppress(ConnectionError):
            async with lasting.connection() as (reader, writer):
                writer.write(request_)
                while piece := await reader.read(65_536):
                    answer += piece
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close\r\n" in answer
