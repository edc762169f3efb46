"""What the server connects to may have nothing but an IPv6 address."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flame_server.commands.certificates import VARIABLE, trust_also
from flame_server.diagnostics.client import check_health
from flame_server.errors import FlameMcpError
from tests.harness.pki import Authority
from tests.support.server.clients import CLIENTS
from tests.support.server.https_servers import https_served
from tests.support.server.in_thread import serving

pytestmark = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


@pytest.fixture(autouse=True)
def environment(authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*os.environ]:
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        # Set first, so that the value before is restored after what the code sets.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(VARIABLE, str(authority.certificate))
    trust_also()
    resolve = socket.getaddrinfo

    def with_ipv6_alone(host: str | bytes, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as socket has it
        return resolve("::1" if host in ("localhost", b"localhost") else host, *more, **named)

    monkeypatch.setattr("socket.getaddrinfo", with_ipv6_alone)


class Handler(BaseHTTPRequestHandler):
    """Keeps what it is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers["Host"])
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200 if "health" in self.path else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - as the library has it

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def service(certificate: tuple[Path, Path]) -> Iterator[str]:
    """The URL of a server that listens on IPv6 alone, by a name that has no other address."""
    Handler.asked = []
    with https_served(Handler, certificate, "::1") as address:
        yield address


@pytest.mark.parametrize("name", ["localhost", "[::1]"])
@pytest.mark.parametrize("client", CLIENTS)
def test_it_is_reached_by_name_and_by_address(client: str, name: str, service: str, tmp_path: Path) -> None:
    url = service.replace("localhost", name)
    with suppress(Exception):
        CLIENTS[client](url, tmp_path)
    assert Handler.asked
    assert set(Handler.asked) == {url.removeprefix("https://")}


def test_the_health_of_a_server_that_listens_on_ipv6_alone() -> None:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    Handler.asked = []
    server = Server(("::1", 0), Handler)
    with serving(server):
        check_health(server.server_port)
    assert Handler.asked == [f"[::1]:{server.server_port}"]
    with pytest.raises(FlameMcpError, match=r"http://127\.0\.0\.1:"):
        check_health(server.server_port)
