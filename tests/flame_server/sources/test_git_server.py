"""The git server of tests as a process: what tests on a cluster rely on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flame_server.errors import UnavailableError
from flame_server.sources import git
from tests.harness.pki import Authority, Certificate
from tests.support.server.server_process import free_port, wait_for

PASSWORD = "git-s3cret"  # noqa: S105 - of a server of the test's
Served = tuple[str, git.Access, Callable[..., str]]


@pytest.fixture
def served(small_docs: Path, tmp_path: Path) -> Iterator[Served]:
    """A URL, how it is read, and a function that runs a command beside the server, as kubectl exec does."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.pair("git", Certificate("git", addresses=("localhost", "127.0.0.1")))
    port = free_port()
    program = [sys.executable, "-m", "tests.git_server", "--folder", str(tmp_path / "repository")]
    serve = ["serve", "--docs", str(small_docs), "--certificate", str(certificate), "--key", str(key)]
    serve += ["--host", "127.0.0.1", "--port", str(port)]
    variables = {**os.environ, "GIT_PASSWORD": PASSWORD}

    def run(*command: str) -> str:
        done = subprocess.run([*program, *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    with subprocess.Popen([*program, *serve], env=variables, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"serving\n"
            access = git.Access(password=PASSWORD, ca_file=authority.certificate)
            yield f"https://localhost:{port}/flame.git", access, run
        finally:
            process.terminate()


def cloned(url: str, access: git.Access, folder: Path) -> str:
    """Clones as soon as the port listens; returns the commit."""
    found: list[str] = []

    def tried() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            found.append(git.clone(url, "main", folder, access))
        except UnavailableError:
            return False
        return True

    wait_for(tried, "git server")
    return found[0]


def test_the_products_client_sees_what_a_command_changes(served: Served, tmp_path: Path) -> None:
    url, access, run = served
    first = cloned(url, access, tmp_path / "a")
    assert (tmp_path / "a/doc/flame/camera.md").read_text().startswith("# Camera")
    changed = run("change", "flame/camera.md", "# Other\n\nText.\n")
    assert cloned(url, access, tmp_path / "b") == changed != first
    assert (tmp_path / "b/doc/flame/camera.md").read_text() == "# Other\n\nText.\n"
    emptied = run("delete-all-pages")
    assert cloned(url, access, tmp_path / "c") == emptied
    assert not list((tmp_path / "c/doc").rglob("*.md"))
    assert run("revert") == changed == cloned(url, access, tmp_path / "d")


@pytest.mark.skipif(shutil.which("git") is None, reason="no git program")
def test_the_git_program_clones_and_fetches_with_depth_one(served: Served, tmp_path: Path) -> None:
    url, access, run = served
    first = cloned(url, access, tmp_path / "ready")
    run("change", "flame/camera.md", "# Other\n")
    private = url.replace("://", f"://git:{PASSWORD}@")
    settings = {"GIT_SSL_CAINFO": str(access.ca_file), "GIT_TERMINAL_PROMPT": "0"}

    def program(*command: str) -> str:
        return subprocess.run(
            ["git", *command], env={**os.environ, **settings}, capture_output=True, text=True, check=True
        ).stdout.strip()

    clone = str(tmp_path / "clone")
    program("clone", "--quiet", "--depth=1", private, clone)
    assert program("-C", clone, "rev-list", "--count", "HEAD") == "1"
    assert program("-C", clone, "rev-parse", "HEAD") != first
    changed = run("change", "flame/camera.md", "# Another\n")
    program("-C", clone, "fetch", "--quiet", "--depth=1", "origin", "main")
    assert program("-C", clone, "rev-parse", "FETCH_HEAD") == changed
    assert program("-C", clone, "show", "FETCH_HEAD:doc/flame/camera.md") == "# Another"
