"""The server as a process of its own, over HTTP and stdio."""

import http.client
import json
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from flame_server.client import ask
from tests.flame_server.server_process import FLAME_MCP, call_tool, get, ready, running, wait_for

# A search that says when it has begun, and ends when it is told to.
SLOW_PROGRAM = """
import sys
from flame_server import search
real = search.Searcher.search
def slow(self, *arguments):
    print("in flight", flush=True)
    sys.stdin.readline()
    return real(self, *arguments)
search.Searcher.search = slow
from flame_server.cli import main
main(["serve"])
"""
SLOW_SERVER = [sys.executable, "-c", SLOW_PROGRAM]


def test_serves_health_and_answers_and_logs_json(lexical_index: Path) -> None:
    with running([*FLAME_MCP, "serve"], lexical_index) as (process, port):
        ready(process, port)
        assert get(port, "/health") == (200, {"status": "ok"})
        status, body = get(port, "/health/ready")
        assert (status, body["status"], body["index"]["chunks"]) == (200, "ready", 4)
        answer = ask(f"http://127.0.0.1:{port}/mcp", "private viewport question", 1)
        assert answer["results"][0]["title"] == "Viewport"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    events = [json.loads(line) for line in log.splitlines()]
    assert {"serving", "search", "request", "stopped"} <= {event["event"] for event in events}
    assert "private" not in log


def test_sigterm_lets_a_request_in_flight_finish(lexical_index: Path) -> None:
    with (
        running(SLOW_SERVER, lexical_index) as (process, port),
        ThreadPoolExecutor() as pool,
    ):
        assert process.stdin
        assert process.stdout
        ready(process, port)
        # One plain request: a client library goes on with others, which are other replicas' to answer.
        call = pool.submit(call_tool, port, {"query": "camera"})
        assert process.stdout.readline() == "in flight\n"
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: get(port, "/health")[0] == 0, "closed port")
        process.stdin.write("\n")
        process.stdin.flush()
        status, answer = call.result(timeout=30)
        _, log = process.communicate(timeout=30)
    assert status == 200
    assert answer["result"]["structuredContent"]["results"]
    assert process.returncode == 0, log


def test_the_grace_for_requests_in_flight_is_the_configured_one(lexical_index: Path) -> None:
    settings = {"SHUTDOWN_GRACE_SECONDS": "1"}
    with (
        running(SLOW_SERVER, lexical_index, **settings) as (process, port),
        ThreadPoolExecutor() as pool,
    ):
        assert process.stdout
        ready(process, port)
        call = pool.submit(call_tool, port, {"query": "camera"})
        assert process.stdout.readline() == "in flight\n"
        process.send_signal(signal.SIGTERM)
        asked_to_stop = time.monotonic()
        with suppress(http.client.HTTPException, ConnectionError):
            assert call.result(timeout=10)[0] == 500
        assert 1 <= time.monotonic() - asked_to_stop < 8
        process.communicate("\n", timeout=30)


async def test_stdio_answers(lexical_index: Path) -> None:
    environment = {"FLAME_MCP_INDEX_DIR": str(lexical_index), "FLAME_MCP_EMBEDDING_TYPE": "None"}
    transport = StdioTransport(
        sys.executable, [*FLAME_MCP[1:], "serve", "--transport", "stdio"], env=environment
    )
    async with Client(transport) as client:
        answer = await client.call_tool("get_flame_knowledge", {"query": "viewport"})
    assert answer.structured_content
    assert answer.structured_content["results"][0]["title"] == "Viewport"


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"PORT": "many"}, 2, "FLAME_MCP_PORT: input should be a valid integer"),
        (
            {"EMBEDDING_TYPE": "Cloud"},
            2,
            "_EMBEDDING_TYPE: input should be 'Local' or 'None', not 'Cloud'",
        ),
        ({"MAX_TOKENS": "1"}, 2, "FLAME_MCP_MAX_TOKENS"),
        ({"INDEX_DIR": "/no/such/index"}, 1, "no index in /no/such/index: build one with"),
        ({"EMBEDDING_TYPE": "Local"}, 1, "was built without embeddings: rebuild it"),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(
    lexical_index: Path, settings: dict[str, str], code: int, message: str
) -> None:
    with running([*FLAME_MCP, "serve"], lexical_index, **settings) as (process, _):
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_taken_port_is_a_failure(lexical_index: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with running([*FLAME_MCP, "serve"], lexical_index, PORT=port) as (process, _):
            _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"error: cannot listen on 127.0.0.1:{port}" in err
