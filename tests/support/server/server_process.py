"""The server as a process of its own."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

FLAME_MCP = [sys.executable, "-m", "flame_server"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        threading.Event().wait(0.02)


def get(port: int, path: str) -> tuple[int, Any]:
    """The status and the JSON or text that a path answers; status 0 when nobody does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            body = response.read()
            is_json = response.headers["Content-Type"].startswith("application/json")
            return response.status, json.loads(body) if is_json else body.decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None
    except OSError:
        return 0, None


def call_tool(port: int, arguments: dict[str, object], **more_headers: str) -> tuple[int, Any]:
    """The status and body of one plain MCP request."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_flame_knowledge", "arguments": arguments},
    }
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-06-18",
        **more_headers,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/mcp", json.dumps(body), headers)
        response = connection.getresponse()
        body_text = response.read()
        return response.status, json.loads(body_text) if response.status == 200 else None
    finally:
        connection.close()


@contextmanager
def running(
    command: list[str], index: Path, *log: Path, **settings: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server and its port; its standard error is a pipe, or `log` where that could fill up."""
    port = free_port()
    variables = {"INDEX_DIR": str(index), "PORT": str(port), "EMBEDDING_TYPE": "None", **settings}
    environment = {**os.environ, **{f"FLAME_MCP_{name}": value for name, value in variables.items()}}
    with ExitStack() as stack:
        stderr = stack.enter_context(log[0].open("wb")) if log else subprocess.PIPE
        process = stack.enter_context(
            subprocess.Popen(
                command,
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        )
        try:
            yield process, port
        finally:
            process.kill()


def ready(process: "subprocess.Popen[str]", port: int) -> None:
    def answered() -> bool:
        assert process.poll() is None, process.communicate()[1]
        return get(port, "/health/ready")[0] == 200

    wait_for(answered, "ready server")
