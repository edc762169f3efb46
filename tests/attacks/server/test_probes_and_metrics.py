"""What strangers learn from probes, and who holds the metrics' port (attacks 51 and 55: L10, L11)."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from flame_server.errors import UnavailableError
from flame_server.serving.app import create_server
from flame_server.serving.edge.limits import InFlight
from flame_server.serving.metrics import Metrics
from flame_server.serving.readiness import Readiness
from flame_server.settings import Settings
from tests.support.server.asgi import fetch
from tests.support.server.attacked import Attacked, attacked, small_index
from tests.support.server.server_process import get, wait_for
from tests.support.server.slow_clients import SlowClients

HIDDEN_PLACE = "http://qdrant.team-a.svc:6333/hidden/path"


class AwayIndex:
    """An index that cannot be reached, and says where it should be."""

    index = None
    groups: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.checks = 0

    async def check(self) -> None:
        self.checks += 1
        await asyncio.sleep(0.1)
        raise UnavailableError(f"Qdrant at {HIDDEN_PLACE} cannot be reached: no route")


async def test_strangers_learn_no_address_from_probes() -> None:
    """Attack 51: the 503 of /health/ready named Qdrant's address to anybody."""
    searcher = AwayIndex()
    readiness = Readiness(searcher)  # type: ignore[arg-type] # as much of one as it needs
    app = create_server(searcher, Settings(), Metrics(), readiness).http_app(path="/mcp")  # type: ignore[arg-type]
    with capture_logs() as lines:
        for _ in range(2):
            response = await fetch(app, "GET", "/health/ready")
            assert response.status_code == 503
            assert response.json() == {"status": "not ready", "problem": "vector store unreachable"}
    # Those who run the server find it in the log, once, and in /details.
    assert str(lines).count(HIDDEN_PLACE) == 1
    assert HIDDEN_PLACE in readiness.details()["problem"]


async def test_a_hundred_probes_at_once_cost_one_check() -> None:
    """Attack 51, another way: anybody may ask, and each question cost a request to Qdrant."""
    searcher = AwayIndex()
    readiness = Readiness(searcher)  # type: ignore[arg-type] # as much of one as it needs
    answers = await asyncio.gather(*(readiness.problem() for _ in range(100)))
    assert set(answers) == {"vector store unreachable"}
    assert searcher.checks == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("attacked")
    with attacked(small_index(folder), folder / "log") as found:
        yield found


def threads(server: Attacked) -> int:
    return len(list(Path(f"/proc/{server.pid}/task").iterdir()))


def test_300_slow_scrapes_hold_no_thread(server: Attacked) -> None:
    """Attack 55: 200 of 300 threads were held by a byte every 4 s."""
    before = threads(server), server.mebibytes()
    with SlowClients(server.metrics_port, 300, b"GET /metrics HTTP/1.1\r\nX: ", drip=b"x") as slow:
        slow.wait_until(lambda slow: slow.opened == 300, 20)
        assert threads(server) <= before[0] + 2
        assert server.mebibytes() < before[1] + 10
        assert get(server.metrics_port, "/metrics")[0] == 200
        slow.wait_until(lambda slow: slow.open <= 32, 5)
        slow.wait_until(lambda slow: slow.open == 0, 8)
        assert slow.longest < 8
    assert get(server.metrics_port, "/details")[1]["chunks"] == 4


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000, b"HTTP/1.1 431 "),
        (b"GET /metrics HTTP/1.1\r\n" + b"a:\r\n" * 50_000, b"HTTP/1.1 431 "),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 405 "),
        (b"\x16\x03\x01\r\n\r\n", b"HTTP/1.1 405 "),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 "),
    ],
)
def test_other_requests_to_the_metrics_port_are_refused(server: Attacked, sent: bytes, answer: bytes) -> None:
    """Attack 55, other ways: heads of any size, and what is no request."""
    with socket.create_connection(("127.0.0.1", server.metrics_port), timeout=5) as connection:
        said = b""
        with suppress(ConnectionError):
            connection.sendall(sent)
            while part := connection.recv(65_536):
                said += part
    # What was still on its way when the connection was closed may have taken the answer with it.
    assert said.startswith(answer) or (not said and len(sent) > 10_000)


def test_a_flood_of_scrapes_leaves_questions_their_time(server: Attacked) -> None:
    """Attack 55, another way: all metrics are written out at most five times a second."""
    stop = threading.Event()

    def scrape() -> None:
        while not stop.is_set():
            assert get(server.metrics_port, "/metrics")[0] == 200

    flood = [threading.Thread(target=scrape) for _ in range(4)]
    for thread in flood:
        thread.start()
    try:
        began = time.monotonic()
        server.ask(20)
        assert time.monotonic() - began < 20
    finally:
        stop.set()
        for thread in flood:
            thread.join()
    wait_for(lambda: get(server.port, "/health/ready")[0] == 200, "ready server")


async def test_readiness_that_hangs_leaves_liveness_alone() -> None:
    """Attack 51, another way: forty clients of /health/ready took all places; the pod was restarted."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("ok")(scope, receive, send)

    full = InFlight(app, Metrics(), requests=0, probes=0)
    assert (await fetch(full, "GET", "/health")).status_code == 200
    assert (await fetch(full, "GET", "/health/ready")).status_code == 503
