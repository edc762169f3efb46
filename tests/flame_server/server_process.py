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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAME_MCP = [sys.executable, "-c", "from flame_server.cli import main; main()"]


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
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None
    except OSError:
        return 0, None


def call_tool(port: int, arguments: dict[str, object]) -> tuple[int, Any]:
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
def running(command: list[str], index: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    variables = {"INDEX_DIR": str(index), "PORT": str(port), "EMBEDDING_TYPE": "None", **settings}
    environment = {**os.environ, **{f"FLAME_MCP_{name}": value for name, value in variables.items()}}
    process = subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process, port
        finally:
            process.kill()


def ready(process: "subprocess.Popen[str]", port: int) -> None:
    def answered() -> bool:
        assert process.poll() is None, process.communicate()[1]
        return get(port, "/health/ready")[0] == 200

    wait_for(answered, "ready server")
