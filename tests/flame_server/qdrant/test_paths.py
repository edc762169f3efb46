"""A Qdrant behind a gateway, below a path."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flame_server.qdrant.connection import QdrantTarget, connect
from tests.support.server.in_thread import serving


class Handler(BaseHTTPRequestHandler):
    """Keeps which paths it is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = b'{"result": {"collections": []}, "status": "ok", "time": 0.0}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def gateway() -> Iterator[str]:
    Handler.asked = []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("path", ["/qdrant", "/qdrant/"])
async def test_all_requests_go_below_it(gateway: str, path: str) -> None:
    client = connect(QdrantTarget(gateway + path, "docs"), 30)
    await client.get_collections()
    await client.close()
    assert Handler.asked == ["/qdrant/collections"]
