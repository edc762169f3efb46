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
from click.testing import CliRunner
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from flame_server.commands.main import main
from flame_server.diagnostics.client import ask
from flame_server.serving.server import _listen
from tests.support.server.collector import collected
from tests.support.server.server_process import FLAME_MCP, call_tool, free_port, get, ready, running, wait_for

# A search that says when it has begun, and ends when it is told to.
SLOW_PROGRAM = """
import sys
from flame_server.search import local
real = local.Searcher.search
def slow(self, *arguments):
    print("in flight", flush=True)
    sys.stdin.readline()
    return real(self, *arguments)
local.Searcher.search = slow
from flame_server.commands.main import main
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


def test_a_token_limits_metrics_and_request_ids(lexical_index: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    metrics_port = str(free_port())
    settings = {
        "AUTH_TYPE": "Bearer",
        "AUTH_TOKEN_FILE": str(tmp_path / "token"),
        "METRICS_PORT": metrics_port,
        "RATE_LIMIT_PER_MINUTE": "1",
        # Two for those whose token is not valid, and two for those whose token is.
        "RATE_LIMIT_BURST": "2",
    }
    question: dict[str, object] = {"query": "viewport"}
    allowed = {"Authorization": "Bearer s3cret"}
    with running([*FLAME_MCP, "serve"], lexical_index, **settings) as (process, port):
        ready(process, port)
        assert call_tool(port, question)[0] == 401
        assert call_tool(port, question, Authorization="Bearer other")[0] == 401
        status, answer = call_tool(port, question, **allowed, **{"X-Request-ID": "mine-7"})
        assert (status, answer["result"]["isError"]) == (200, False)
        assert call_tool(port, {"query": " "}, **allowed)[1]["result"]["isError"]
        assert call_tool(port, question, **allowed)[0] == 429
        status, text = get(int(metrics_port), "/metrics")
        assert get(int(metrics_port), "/details")[1]["chunks"] == 4
        assert get(int(metrics_port), "/mcp")[0] == 404
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    for line in (
        'flame_mcp_tool_calls_total{outcome="answered"} 1.0',
        'flame_mcp_tool_calls_total{outcome="refused"} 1.0',
        'flame_mcp_refused_requests_total{reason="no_token"} 1.0',
        'flame_mcp_refused_requests_total{reason="bad_token"} 1.0',
        'flame_mcp_refused_requests_total{reason="rate"} 1.0',
        'flame_mcp_http_responses_total{code="401"} 2.0',
        "flame_mcp_index_chunks 4.0",
    ):
        assert line in text
    events = [json.loads(line) for line in log.splitlines()]
    assert [event["event"] for event in events if event.get("request_id") == "mine-7"] == [
        "search",
        "request",
    ]
    assert "s3cret" not in log


def test_spans_go_to_the_collector_below_the_callers(lexical_index: Path) -> None:
    caller = "0af7651916cd43dd8448eb211c80319c"
    with collected() as (endpoint, spans):
        with running([*FLAME_MCP, "serve"], lexical_index, TRACING_ENDPOINT=endpoint) as (process, port):
            ready(process, port)
            traceparent = {"traceparent": f"00-{caller}-b7ad6b7169203331-01"}
            assert call_tool(port, {"query": "private viewport"}, **traceparent)[0] == 200
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
        assert process.returncode == 0, log
    assert {"HTTP POST", "tools/call get_flame_knowledge"} <= {span.name for span in spans}
    assert {span.trace_id.hex() for span in spans} == {caller}
    assert "private" not in str(spans)


def test_without_a_collector_its_library_is_not_imported(lexical_index: Path) -> None:
    program = (
        "import sys, atexit; from flame_server.commands.main import main\n"
        "heavy = ('opentelemetry.sdk', 'openai', 'qdrant_client', 'jwt')\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules]))\n"
        "main(['serve'])"
    )
    with running([sys.executable, "-c", program], lexical_index) as (process, port):
        ready(process, port)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert out == "[]\n"


def test_the_model_is_read_before_the_framework_is_there(local_index: Path) -> None:
    program = (
        "import sys; from flame_server.embedding import local\n"
        "real = local._fingerprint\n"
        "def seen(model): print('fastmcp' in sys.modules, flush=True); return real(model)\n"
        "local._fingerprint = seen\n"
        "from flame_server.commands.main import main; main(['serve'])"
    )
    with running([sys.executable, "-c", program], local_index, EMBEDDING_TYPE="Local") as (process, port):
        ready(process, port)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert out == "False\n"


def test_the_first_question_waits_for_no_costly_imports(lexical_index: Path) -> None:
    program = (
        "import sys, atexit, uvicorn\n"
        "real = uvicorn.Server.run\n"
        "def run(server, sockets):\n"
        "    before = set(sys.modules)\n"
        "    atexit.register(lambda: print(sorted(set(sys.modules) - before)))\n"
        "    real(server, sockets)\n"
        "uvicorn.Server.run = run\n"
        "from flame_server.commands.main import main; main(['serve'])"
    )
    with running([sys.executable, "-c", program], lexical_index) as (process, port):
        ready(process, port)
        assert call_tool(port, {"query": "viewport"})[0] == 200
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    # A few modules of the framework's own are cheap.
    assert "uvicorn.lifespan" in out
    assert "key_value" not in out
    assert "beartype" not in out


def test_a_taken_metrics_port_is_a_failure(lexical_index: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with running([*FLAME_MCP, "serve"], lexical_index, METRICS_PORT=port) as (process, _):
            _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "set FLAME_MCP_METRICS_PORT" in err


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


def test_ask_brings_its_token(lexical_index: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    settings = {"AUTH_TYPE": "Bearer", "AUTH_TOKEN_FILE": str(tmp_path / "token")}
    with running([*FLAME_MCP, "serve"], lexical_index, **settings) as (process, port):
        ready(process, port)
        command = ["ask", "--url", f"http://127.0.0.1:{port}/mcp", "--limit", "1", "viewport"]
        refused = CliRunner().invoke(main, command)
        answered = CliRunner().invoke(main, [*command, "--token-file", str(tmp_path / "token")])
    assert (refused.exit_code, answered.exit_code) == (1, 0)
    assert "no answer from an MCP server" in refused.stderr
    assert "Camera > Viewport" in answered.stdout


def test_ask_waits_for_a_server_that_starts(lexical_index: Path) -> None:
    with running([*FLAME_MCP, "serve"], lexical_index) as (_, port):
        command = ["ask", "--url", f"http://127.0.0.1:{port}/mcp", "--limit", "1", "viewport"]
        too_soon = CliRunner().invoke(main, command)
        answered = CliRunner().invoke(main, [*command, "--wait", "30"])
    assert (too_soon.exit_code, answered.exit_code) == (1, 0)
    assert "Camera > Viewport" in answered.stdout


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
        ({"AUTH_TYPE": "bearer"}, 2, "FLAME_MCP_AUTH_TYPE: input should be 'None', 'Bearer' or 'OIDC'"),
        ({"AUTH_TYPE": "Bearer", "AUTH_TOKEN_FILE": "/no/token"}, 2, "which cannot be read: No such file"),
        (
            {"EMBEDDING_TYPE": "Cloud"},
            2,
            "_EMBEDDING_TYPE: input should be 'Local', 'None', 'AzureOpenAI' or 'OpenAI', not 'Cloud'",
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


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_part_of_an_answer_waits_for_the_client_to_acknowledge_another(host: str) -> None:
    with (
        _listen(host, 0)[0] as listener,
        socket.create_connection(listener.getsockname()[:2]),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_port_is_a_failure(lexical_index: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with running([*FLAME_MCP, "serve"], lexical_index, PORT=port) as (process, _):
            _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"error: cannot listen on 127.0.0.1:{port}" in err
