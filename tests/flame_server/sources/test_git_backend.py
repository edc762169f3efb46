"""Git's own server, which speaks another version of the protocol than the one that other tests have."""

import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flame_server.errors import FlameMcpError
from flame_server.sources import git
from tests.harness.pki import Authority
from tests.support.server.git_commands import git as run_git

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits on `main`, with tags of both kinds on the first."""
    folder = tmp_path / "repositories" / "flame.git"
    (folder / "doc").mkdir(parents=True)
    run_git(folder, "init", "--quiet", "-b", "main")
    for text in ("first", "second", "third"):
        (folder / "doc" / "page.md").write_text(f"# {text}\n")
        run_git(folder, "add", ".")
        run_git(folder, "commit", "--quiet", "-m", text)
    first = run_git(folder, "rev-parse", "HEAD~2")
    run_git(folder, "tag", "light", first)
    run_git(folder, "tag", "-a", "-m", "annotated", "heavy", first)
    return folder


@pytest.fixture
def served(repository: Path, certificate: tuple[Path, Path]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(repository.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "PATH_INFO": path,
                "QUERY_STRING": query,
            }
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            safe = ["-c", f"safe.directory={repository}", "-c", f"safe.directory={repository}/.git"]
            answer = subprocess.run(
                ["git", *safe, "http-backend"], input=body, env=environment, capture_output=True, check=False
            ).stdout
            head, _, content = answer.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").split(" ")[0]))
            for name, value in {**fields, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    found.socket = context.wrap_socket(found.socket, server_side=True)
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://localhost:{found.server_port}/flame.git/.git"
    finally:
        found.shutdown()
        thread.join()
        found.server_close()


def test_whatever_names_a_commit(repository: Path, served: str, authority: Authority, tmp_path: Path) -> None:
    access = git.Access(ca_file=authority.certificate)
    first, second, third = (run_git(repository, "rev-parse", f"HEAD~{number}") for number in (2, 1, 0))
    # No branch or tag leads to the second alone.
    for ref, commit in (("main", third), (None, third), ("light", first), ("heavy", first), (second, second)):
        out = tmp_path / f"{ref}"
        assert git.clone(served, ref, out, access) == commit
        text = run_git(repository, "show", f"{commit}:doc/page.md")
        assert (out / "doc" / "page.md").read_text().strip() == text


def test_only_what_is_wanted_is_sent(
    repository: Path, served: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "noise.bin").write_bytes(os.urandom(2 * 1024**2))
    for message, change in (("noise", "add"), ("none", "rm")):
        run_git(repository, change, "noise.bin")
        run_git(repository, "commit", "--quiet", "-m", message)
    monkeypatch.setattr(git, "MAX_BYTES", 1024**2)
    access = git.Access(ca_file=authority.certificate)
    assert git.clone(served, "main", tmp_path / "new", access)
    # The commit that has the noise is the one before.
    noisy = run_git(repository, "rev-parse", "HEAD~1")
    with pytest.raises(FlameMcpError, match="sends more than 1 MiB"):
        git.clone(served, noisy, tmp_path / "old", access)


def test_a_commit_that_is_not_there(served: str, authority: Authority, tmp_path: Path) -> None:
    access = git.Access(ca_file=authority.certificate)
    with pytest.raises(FlameMcpError, match="does not provide that commit") as raised:
        git.clone(served, "1" * 40, tmp_path / "out", access)
    assert raised.value.kind == "user"


def test_a_repository_that_is_not_there(served: str, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(FlameMcpError, match="is not a git repository, or is hidden") as raised:
        git.clone(f"{served}/none", "main", tmp_path / "out", git.Access(ca_file=authority.certificate))
    assert raised.value.kind == "user"
