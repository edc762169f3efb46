"""Servers of sources that send their clients to places that can be read in two ways, or not at all."""

import gc
import socketserver
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from flame_server.errors import FlameMcpError
from flame_server.sources import archive, git
from tests.harness.pki import Authority, Certificate
from tests.support.server.https_servers import files_served
from tests.support.server.in_thread import serving

PLACES = [
    # Which host is it? urllib.parse, httpx and urllib3 each have an answer of their own.
    "https://HIDDEN\\@localhost:PORT/a",
    "https://HIDDEN\\@localhost:PORT\\@HIDDEN/a",
    "https://HIDDEN#@localhost:PORT/a",
    "https://HIDDEN?@localhost:PORT/a",
    "https://localhost:PORT@HIDDEN/a",
    "https://localhost@HIDDEN\\@localhost:PORT/a",
    "https://HIDDEN;@localhost:PORT/a",
    "https:\\\\HIDDEN/a",
    "/\\HIDDEN/a",
    "\\\\HIDDEN/a",
    # None of these is a place.
    "https://[",
    "https://[::1",
    "https://[::1]localhost/",
    "https://localhost:99999/",
    "https://localhost:0x1/",
    "https://localhost:/%",
    "https://" + "a" * 70 + ".example/",
    "https://a..example/",
    "https://xn--zzzzzz--/",
    "https://\u2488example/",
    "https://lo\x7fcal/",
    "https://" + "a." * 3000 + "example/",
    "https://%00/",
    "http://[::1",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin1"),
]
FETCHES: dict[str, Callable[[str, Path, Path], object]] = {
    "archive": lambda url, folder, ca: archive.download(
        url, None, folder / "a", archive.Access("u", "secret", ssl.create_default_context(cafile=str(ca)))
    ),
    "git": lambda url, folder, ca: git.clone(url, "main", folder / "out", git.Access("u", "secret", ca)),
}


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Path, Path], Path]:
    """A certificate, and that of the authority that has signed it."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    wanted = Certificate("localhost", addresses=("localhost", "127.0.0.1"))
    return authority.pair("localhost", wanted), authority.certificate


@pytest.mark.parametrize("place", PLACES, ids=lambda place: repr(place[:40]))
@pytest.mark.parametrize("fetch", FETCHES)
def test_a_redirect_that_can_be_read_in_two_ways_or_none(
    fetch: str,
    place: str,
    trusted: tuple[tuple[Path, Path], Path],
    tmp_path: Path,
) -> None:
    """It led from the internet to any host of the cluster, and others of these ended in a traceback."""
    certificate, authority = trusted
    met: list[object] = []

    class Hidden(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            met.append(self.client_address)

    with (
        socketserver.TCPServer(("127.0.0.1", 0), Hidden) as hidden,
        serving(hidden),
        warnings.catch_warnings(),
    ):
        # urllib3 leaves the connection open on which it has read what is no place; the process ends anyway.
        warnings.simplefilter("ignore", ResourceWarning)
        answers: dict[str, tuple[int, bytes]] = {}
        with files_served(answers, certificate) as address:
            port = address.rpartition(":")[2]
            there = place.replace("HIDDEN", f"127.0.0.1:{hidden.server_address[1]}").replace("PORT", port)
            where = "/a/info/refs?service=git-upload-pack" if fetch == "git" else "/a"
            answers[where] = (302, there.encode("latin1", "replace"))
            with pytest.raises(FlameMcpError) as refused:
                FETCHES[fetch](f"{address}/a", tmp_path, authority)
            said = str(refused.value)
            del refused
            gc.collect()
    assert not met
    assert len(said) < 500
    assert said.isprintable()
