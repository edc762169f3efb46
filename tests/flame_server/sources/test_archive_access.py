"""Archives behind a login: what is sent, and to whom."""

import io
import ssl
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from flame_server.errors import FlameMcpError
from flame_server.sources import archive
from flame_server.sources.fetch import fetch, read_sources
from tests.harness.pki import Authority
from tests.support.server.https_servers import https_served
from tests.support.server.small_docs import quiet

BASIC = "Basic YW5uOnNlY3JldA=="
Asked = list[tuple[str, str | None]]


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("page.md", "# Page")
    return out.getvalue()


@contextmanager
def served(certificate: tuple[Path, Path], elsewhere: str = "") -> Iterator[tuple[str, Asked]]:
    """A server that keeps which paths it was asked for with which credentials, and lets only some in."""
    asked: Asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization")
            asked.append((self.path, given))
            moved = {"/here": "/docs.zip", "/there": f"{elsewhere}/docs.zip"}.get(self.path)
            body = zipped() if given in (BASIC, "Bearer secret") or not elsewhere else b""
            self.send_response(302 if moved else 200 if body else 401)
            if moved:
                self.send_header("Location", moved)
                body = b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with https_served(Handler, certificate) as address:
        yield address, asked


@pytest.mark.parametrize(("username", "sent"), [("ann", BASIC), (None, "Bearer secret")])
def test_credentials_go_to_the_server_of_the_url_and_to_no_other(
    username: str | None, sent: str, certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    access = archive.Access(username, "secret", ssl.create_default_context(cafile=authority.certificate))
    with (
        served(certificate) as (other, asked_there),
        served(certificate, other) as (url, asked),
    ):
        archive.download(f"{url}/here", None, tmp_path / "a", access)
        assert asked == [("/here", sent), ("/docs.zip", sent)]
        archive.download(f"{url}/there", None, tmp_path / "a", access)
        assert asked_there == [("/docs.zip", None)]


def test_a_refusal_names_the_field_and_not_the_password(
    certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    verify = ssl.create_default_context(cafile=authority.certificate)
    with served(certificate, "https://other") as (url, _):
        for access in (archive.Access("ann", "wrong", verify), archive.Access(verify=verify)):
            with pytest.raises(FlameMcpError, match=r"HTTP 401: check http\.credentialsSecretRef") as raised:
                archive.download(f"{url}/docs.zip", None, tmp_path / "a", access)
            assert "wrong" not in str(raised.value)
        for odd in ("two\nlines", "g\u00fcnter"):
            with pytest.raises(FlameMcpError, match="one line of ASCII") as raised:
                archive.download(f"{url}/docs.zip", None, tmp_path / "a", archive.Access(None, odd, verify))
            assert odd not in str(raised.value)
    assert "secret" not in repr(archive.Access("ann", "secret"))


def test_files_of_the_source_are_used(
    certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets" / "docs"
    secrets.mkdir(parents=True)
    (secrets / "username").write_text("ann\n")
    (secrets / "password").write_text("secret\n")
    (secrets / "ca.crt").write_bytes(authority.certificate.read_bytes())
    with served(certificate, "https://other") as (url, asked):
        sources = read_sources(f'[{{"name": "docs", "http": {{"url": "{url}/docs.zip"}}}}]')
        fetch(sources, tmp_path / "out", tmp_path, tmp_path / "secrets", quiet)
    assert asked == [("/docs.zip", BASIC)]
    assert (tmp_path / "out" / "docs" / "page.md").read_text() == "# Page"
