"""Attack 6 (H5) at random: whatever bytes come to the operator's ports in whatever pieces."""

import asyncio
import re
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flame_operator.telemetry.http_server import (
    ANSWER_SECONDS,
    HEAD_SECONDS,
    MAX_HEAD_BYTES,
    MAX_PIECES,
    Answer,
    _Connection,
    _Connections,
    _Page,
)
from tests.support.operator.scripted_pod import split
from tests.support.operator.virtual_time import run_virtually

PIECES = [
    b"GET /healthz HTTP/1.1\r\n", b"GET /bug HTTP/1.0\r\n", b"HEAD /healthz HTTP/1.1\r\n",
    b"POST /healthz HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET http://x/healthz HTTP/1.1\r\n", b"GET /a b HTTP/1.1\r\n",
    b"Host: x\r\n",
    b"\r\n", b"\r\n\r\n", b"\n\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET /" + b"x" * 9000, b"X: " + b"y" * 8000, b"\x00", b"/%00?" * 100,
    b"GET /healthz?x=\xff HTTP/1.1\r\n",
]  # fmt: skip
ANSWER = re.compile(
    rb"HTTP/1\.1 (200|400|404|405|431|500) [A-Za-z ]+\r\nContent-Type: [^\r\n]+\r\nContent-Length: (\d+)\r\n"
    rb"Connection: close\r\n(Allow: GET, HEAD\r\n)?\r\n(.*)",
    re.DOTALL,
)


class Client(asyncio.Transport):
    """The other end of a connection, in memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.9", 1)})
        self.answer, self.reads, self.ended = b"", True, False

    def write(self, data: Any) -> None:  # noqa: ANN401
        self.answer += bytes(data)

    def pause_reading(self) -> None:
        self.reads = False

    def close(self) -> None:
        self.ended = True

    abort = close


def bug() -> Answer:
    raise RuntimeError("a bug")


@settings(max_examples=300, deadline=None)
@given(
    data=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=8).map(b"".join),
    sizes=st.lists(st.sampled_from([1, 5, 300, 5000, 100_000]), min_size=1, max_size=3),
)
def test_any_bytes_in_any_pieces_get_one_answer_or_the_end(data: bytes, sizes: list[int]) -> None:
    """One answer that is HTTP, or the end after 5 s; never more than 8 KiB or 32 pieces, nor an exception."""

    async def scenario() -> None:
        connections, client = _Connections(), Client()
        pages = {
            "/healthz": _Page("/healthz", lambda: Answer(200, "text/plain", b"ok")),
            "/bug": _Page("/bug", bug),
        }
        connection = _Connection(pages, connections)
        connection.connection_made(client)
        began, pieces = time.thread_time(), 0
        for piece in split(data, sizes):
            if not client.reads or client.ended:
                break
            pieces += 1
            connection.data_received(piece)
            assert len(connection._head) <= MAX_HEAD_BYTES + 1
        spent = time.thread_time() - began
        assert pieces <= MAX_PIECES
        if client.answer:
            match = ANSWER.fullmatch(client.answer)
            assert match is not None
            assert len(match[4]) in (int(match[2]), 0)
            assert (match[1] == b"405") == (match[3] is not None)
        else:
            await asyncio.sleep(HEAD_SECONDS + ANSWER_SECONDS)
        assert client.ended
        connection.connection_lost(None)
        assert not connections._open
        assert spent < 0.5

    run_virtually(scenario())
