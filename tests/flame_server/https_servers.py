"""Servers over HTTPS on loopback for tests of sources, and the authority that they are trusted by."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.git_server.served import server


@contextmanager
def served(folder: Path, certificate: tuple[Path, Path], password: str | None = None) -> Iterator[str]:
    found = server(folder, "127.0.0.1", 0, *certificate, password)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{found.server_port}/flame.git"
    finally:
        found.shutdown()
        thread.join()
        found.server_close()


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

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    found.socket = context.wrap_socket(found.socket, server_side=True)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{found.server_port}"
    finally:
        found.shutdown()
        thread.join()
        found.server_close()
