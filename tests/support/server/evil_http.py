"""A server on loopback that answers every request as a test says, byte by byte."""

import gzip
import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache

from tests.support.server.in_thread import serving

Answer = Callable[[socket.socket], None]


@dataclass
class Evil:
    """Where it listens, and how many bytes it could send."""

    url: str = ""
    sent: int = 0
    paths: list[str] = field(default_factory=list)


@contextmanager
def answering(answer: Iterator[bytes] | Callable[[], Iterator[bytes]]) -> Iterator[Evil]:
    """Sends these pieces as the answer to each request, for as long as the client takes them."""
    evil = Evil()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while head := self.rfile.readline().strip():
                if head.lower().startswith(b"content-length:"):
                    length = int(head.partition(b":")[2])
            self.rfile.read(length)
            with suppress(OSError):
                for piece in answer() if callable(answer) else answer:
                    self.connection.sendall(piece)
                    evil.sent += len(piece)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server, serving(server):
        evil.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield evil


def answer(body: bytes, status: str = "200 OK", **headers: str) -> Callable[[], Iterator[bytes]]:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda: iter(["\r\n".join([*lines, "Connection: close", "", ""]).encode(), body])


@cache
def gzip_bomb() -> bytes:
    """306 kB that become 300 MiB."""
    return gzip.compress(b" " * (300 * 1024**2), 9)


def endless_body() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b" " * 65_536 + b"\r\n"


def endless_continue() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000


def endless_extension() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1;" + b"x" * 8_000 + b"\r\n \r\n"


def endless_headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X: " + b"x" * 8_000 + b"\r\n"
