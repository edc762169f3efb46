"""Attackers of a server on loopback, as a process of their own: they take no time from whom is measured."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tests.support.server.slow_clients import SlowClients

ROOT = Path(__file__).parents[3]
SLOW_HEAD = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 16_000
_POST = b"POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"


def _post(body: bytes, host: bytes = b"localhost", more: bytes = b"") -> bytes:
    return _POST % (host, more, len(body), body)


JUNK = {
    "random bytes": random.Random(7).randbytes(60_000),  # noqa: S311 - no secret
    "a huge head": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000,
    "bad JSON": _post(b'{"jsonrpc": "2.0", "id": 1, "method": ' + b"x" * 60_000),
    "deep JSON": _post(b"[" * 65_000),
    "values": _post(b"[" + b"1," * 32_000 + b"1]"),
    "a wrong host": _post(b"{}", b"evil.example"),
    "a wrong token": _post(b"{}", more=b"Authorization: Bearer " + b"x" * 8_000 + b"\r\n"),
    "a token that is none": _post(b"{}", more=b"Authorization: Bearer " + b"e30." * 2_000 + b"\r\n"),
}


def _send_junk(port: int, stop: threading.Event) -> None:
    kinds = list(JUNK.values())
    for number in count():
        if stop.wait(0.01):
            return
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(kinds[number % len(kinds)])
            connection.recv(1_000)


def main(port: int, connections: int) -> None:
    """Attacks from the moment that it says so until its input ends."""
    stop = threading.Event()
    senders = [threading.Thread(target=_send_junk, args=(port, stop)) for _ in range(4)]
    with SlowClients(port, connections, SLOW_HEAD, drip=b"x") as slow:
        slow.wait_until(lambda slow: slow.opened == connections, 60)
        for sender in senders:
            sender.start()
        print("attacking", flush=True)
        sys.stdin.read()
        stop.set()
        for sender in senders:
            sender.join()
        slow.wait_until(lambda slow: slow.open == 0, 20)
        print(slow.longest)


@contextmanager
def attacking(port: int, connections: int) -> Iterator[list[float]]:
    """Slow connections and junk while the block runs; then the seconds that the longest one was open."""
    ended: list[float] = []
    # With the lowest priority: attackers bring machines of their own.
    command = [
        "nice", "-n19", sys.executable, "-m", "tests.support.server.attackers", f"{port}", f"{connections}",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "attacking\n"
        yield ended
        process.stdin.close()
        ended.append(float(process.stdout.read()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
