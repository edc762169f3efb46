"""Servers over HTTPS on loopback for tests of sources, and the authority that they are trusted by."""

import select
import socket
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.git_server.served import server
from tests.support.server.in_thread import serving


@contextmanager
def served(folder: Path, certificate: tuple[Path, Path], password: str | None = None) -> Iterator[str]:
    found = server(folder, "127.0.0.1", 0, *certificate, password)
    with serving(found):
        yield f"https://localhost:{found.server_port}/flame.git"


@contextmanager
def https_served(
    handler: type[BaseHTTPRequestHandler], certificate: tuple[Path, Path], address: str = "127.0.0.1"
) -> Iterator[str]:
    """A server whose requests the handler answers; its URL without a path."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    found = Server((address, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    found.socket = context.wrap_socket(found.socket, server_side=True)
    with serving(found):
        yield f"https://localhost:{found.server_port}"


@contextmanager
def files_served(answers: dict[str, tuple[int, bytes]], certificate: tuple[Path, Path]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with https_served(Handler, certificate) as address:
        yield address


@contextmanager
def proxied() -> Iterator[tuple[str, list[str]]]:
    """A proxy, and which tunnels it was asked for."""
    asked: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _, place, _ = self.rfile.readline().decode().split(" ")
            asked.append(place)
            while self.rfile.readline().strip():
                pass
            host, _, port = place.rpartition(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _tunnel(self.connection, there)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}", asked


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    """Passes on what comes until either side has no more to say."""
    with suppress(OSError):
        while True:
            for ready in select.select([one, other], [], [])[0]:
                data = ready.recv(65_536)
                if not data:
                    return
                (other if ready is one else one).sendall(data)
