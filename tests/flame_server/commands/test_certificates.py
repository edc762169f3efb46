"""Every client of the server trusts a private CA that is added, and goes through the environment's proxy."""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import certifi
import pytest

from flame_server.commands.certificates import VARIABLE, trust_also
from flame_server.errors import SettingsError
from tests.harness.pki import Authority
from tests.support.server.clients import CLIENTS
from tests.support.server.https_servers import https_served, proxied


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def service(certificate: tuple[Path, Path], asked: list[str]) -> Iterator[str]:
    """A server of a private CA that keeps what it is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - as the library has it

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with https_served(Handler, certificate) as address:
        yield address


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        # Set first, so that the value before is restored after what the code sets.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in list(os.environ):
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def add(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Adds the private CA."""

    def found() -> None:
        monkeypatch.setenv(VARIABLE, str(authority.certificate))
        trust_also()

    return found


@pytest.fixture
def added(add: Callable[[], None]) -> None:
    add()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_private_ca_is_trusted_once_it_is_added(
    client: str, service: str, asked: list[str], add: Callable[[], None], tmp_path: Path
) -> None:
    with suppress(Exception):
        CLIENTS[client](service, tmp_path)
    assert asked == []
    add()
    with suppress(Exception):
        CLIENTS[client](service, tmp_path)
    assert asked


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize("client", CLIENTS)
def test_the_proxy_of_the_environment_is_used(
    client: str, service: str, asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with proxied() as (proxy, tunnels):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", ".svc,.cluster.local")
        with suppress(Exception):
            CLIENTS[client](service, tmp_path)
        assert asked
        assert tunnels
        tunnels.clear()
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1,::1,.svc,.cluster.local")
        with suppress(Exception):
            CLIENTS[client](service, tmp_path)
        assert tunnels == []


def test_public_certificates_stay_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(authority.certificate))
    for _ in range(2):  # the file of a process before this one is replaced
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        trust_also()
    trusted = Path(os.environ["SSL_CERT_FILE"]).read_bytes()
    assert Path(certifi.where()).read_bytes() in trusted
    assert trusted.count(authority.certificate.read_bytes().strip()) == 1
    ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no certificate"),
        (b"not PEM", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no usable certificate"),
        (b"-----BEGIN CERTIFICATE-----" * 50_000, "more than 1024 KiB"),
        (None, "cannot be read"),
    ],
)
def test_what_holds_no_certificate_is_refused(
    content: bytes | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(SettingsError, match=f"FLAME_MCP_CA_FILE names .*{says}"):
        trust_also()
    assert "SSL_CERT_FILE" not in os.environ
