"""Whatever is sent: a clear answer, never a failure of the server, and memory stays flat.

FUZZ_CASES sets how many cases each of the four tests makes (2,500 by default).
"""

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.server.random_input import address, different, message, request, tool_and_arguments
from tests.support.server.server_process import FLAME_MCP, get, ready, running

CASES = int(os.environ.get("FUZZ_CASES", "2500"))
# Growth in the second half of the cases: what an allocator may keep, not what each case would leave.
MAX_GROWTH_MIB = 16
pytestmark = pytest.mark.timeout(120 + CASES // 4)


class Server:
    """A running server and what was seen of it."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._pid = pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.answered = 0
        self._settled = 0.0

    def post(self, body: bytes, more: dict[str, str] | None = None) -> tuple[int, bytes]:
        sent = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **(more or {}),
        }
        try:
            self._connection.request("POST", "/mcp", body, {k: v.encode("latin-1") for k, v in sent.items()})
            response = self._connection.getresponse()
            return response.status, response.read()
        except (http.client.HTTPException, ConnectionError):
            # It may close the connection after a refusal.
            self._connection.close()
            return 0, b""
        finally:
            self.seen()

    def close(self) -> None:
        self._connection.close()

    def seen(self) -> None:
        self.answered += 1
        if self.answered == CASES // 2:
            self._settled = self._mebibytes()

    def growth(self) -> float:
        """MiB since half of the cases."""
        return self._mebibytes() - self._settled

    def _mebibytes(self) -> float:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture
def server(lexical_index: Path, tmp_path: Path) -> Iterator[Server]:
    log = tmp_path / "log"
    with running([*FLAME_MCP, "serve"], lexical_index, log, LOG_LEVEL="warning") as (process, port):
        ready(process, port)
        found = Server(port, process.pid)
        yield found
        found.close()
        assert process.poll() is None
        assert get(port, "/health/ready")[0] == 200
        growth = found.growth()
        print(f"{found.answered} cases, {growth:+.1f} MiB in the second half")
        assert growth < MAX_GROWTH_MIB
    text = log.read_text(errors="replace")
    assert "Traceback" not in text
    assert '"level": "error"' not in text


def check(status: int, body: bytes) -> None:
    assert status < 500, body
    assert b"Traceback" not in body
    assert b"pydantic" not in body
    assert b"/site-packages/" not in body


def send_all(send: Callable[..., None], known: Sequence[Any], draw: Callable[[Random], Any]) -> None:
    """Sends the known cases, and then those that are drawn; a failure tells which one it was."""
    for case in (*known, *different(draw, CASES)):
        try:
            send(case)
        except AssertionError as error:
            error.add_note(f"sent: {case!r:.2000}")
            raise


def test_any_arguments_of_the_tools(server: Server) -> None:
    def ask(case: tuple[str, dict[str, Any]]) -> None:
        params = {"name": case[0], "arguments": case[1]}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        status, body = server.post(json.dumps(message).encode(), {"MCP-Protocol-Version": "2025-06-18"})
        check(status, body)
        if status == 200:
            answer = json.loads(body)
            assert ("result" in answer) != ("error" in answer)

    known = [
        ("get_flame_knowledge", {"query": "camera", "limit": "5"}),
        ("get_flame_knowledge", {"query": "camera", "cursor": "AAAA"}),
        ("get_flame_page", {"path": "flame://[/x"}),
        ("get_flame_page", {"path": "https://[::1/x"}),
        ("get_flame_page", {"path": "flame/camera.md", "section": "#"}),
    ]
    send_all(ask, known, tool_and_arguments)


def test_any_address_of_a_resource(server: Server) -> None:
    def read(uri: str) -> None:
        message = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}
        check(*server.post(json.dumps(message).encode(), {"MCP-Protocol-Version": "2025-06-18"}))

    send_all(read, ["flame://latest/../../etc/passwd", "flame://latest/flame/camera.md/"], address)


def test_any_message(server: Server) -> None:
    bodies = [b"[" * 30_000, b'{"a":' * 10_000, b"x" * 70_000, b"", b"\xef\xbb\xbf{}"]
    known: list[tuple[bytes, dict[str, str]]] = [(body, {}) for body in bodies]
    send_all(lambda case: check(*server.post(*case)), known, message)


def test_any_bytes(server: Server) -> None:
    def send(request: bytes) -> None:
        answer = b""
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
            suppress(OSError),  # the server may close while the request is still being sent
        ):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        server.seen()
        if answer.startswith(b"HTTP/1.1 "):
            check(int(answer[9:12]), answer)

    known = [b"POST /mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"]
    send_all(send, known, request)
