"""Fetching: which sources there are, and git over HTTPS."""

import gc
import json
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.sources import checkout, git
from flame_server.sources.fetch import fetch, read_fetched, read_sources
from tests.git_server import repository
from tests.harness.pki import Authority
from tests.support.server.https_servers import files_served, proxied, served
from tests.support.server.small_docs import quiet

PASSWORD = "git-s3cret"  # noqa: S105 - of a server of the test's


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A repository with two commits, the first of which is tagged."""
    folder = tmp_path / "docs"
    (folder / "doc").mkdir(parents=True)
    (folder / "doc" / "page.md").write_text("# Old\n\nText.\n")
    repository.create(folder, tmp_path / "repository")
    repository.change(tmp_path / "repository", "page.md", "# New\n\nText.\n")
    return tmp_path / "repository"


def test_a_branch_and_a_commit_over_https(
    docs: Path, certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    access = git.Access(ca_file=authority.certificate)
    with served(docs, certificate) as url:
        head = git.clone(url, "main", tmp_path / "a", access)
        assert (tmp_path / "a/doc/page.md").read_text().startswith("# New")
        assert git.clone(url, head, tmp_path / "b", access) == head
        assert git.clone(url, None, tmp_path / "c", access) == head
        with pytest.raises(FlameMcpError, match="no branch, tag or commit nightly; it has main"):
            git.clone(url, "nightly", tmp_path / "d", access)


def test_a_password_is_asked_for_and_never_told(
    docs: Path, certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    with served(docs, certificate, PASSWORD) as url:
        right = git.Access(password=PASSWORD, ca_file=authority.certificate)
        assert git.clone(url, "main", tmp_path / "a", right)
        assert PASSWORD not in repr(right)
        for wrong in (None, "wr0ng-s3cret"):
            with pytest.raises(FlameMcpError, match=r"check git\.credentialsSecretRef") as raised:
                git.clone(
                    url,
                    "main",
                    tmp_path / f"b{wrong}",
                    git.Access(password=wrong, ca_file=authority.certificate),
                )
            assert raised.value.kind == "user"
            assert "s3cret" not in str(raised.value)


def test_a_password_in_the_url_is_used_and_never_told(
    docs: Path, certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    access = git.Access(ca_file=authority.certificate)
    with served(docs, certificate, PASSWORD) as url:
        inside = url.replace("://", f"://git:{PASSWORD}@")
        assert git.clone(inside, "main", tmp_path / "a", access)
        with pytest.raises(FlameMcpError, match="no branch") as raised:
            git.clone(inside, "nightly", tmp_path / "b", access)
    assert PASSWORD not in str(raised.value)


def test_a_repository_is_read_up_to_a_limit(
    docs: Path,
    certificate: tuple[Path, Path],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of what is sent, not only of what is written: a pack fills a disk as well as its files do."""
    access = git.Access(ca_file=authority.certificate)
    # More than a page may have, and nothing packs it.
    (docs / "doc" / "noise.bin").write_bytes(secrets.token_bytes(3 * 1024**2))
    repository.commit(docs, "noise")
    monkeypatch.setattr(git, "MAX_BYTES", 1024**2)
    with (
        served(docs, certificate) as url,
        pytest.raises(FlameMcpError, match="sends more than 1 MiB") as raised,
    ):
        git.clone(url, "main", tmp_path / "a", access)
    assert raised.value.kind == "user"


def test_files_are_counted_whatever_they_are(
    docs: Path,
    certificate: tuple[Path, Path],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(3):
        (docs / "doc" / f"link-{number}").symlink_to("page.md")
    repository.commit(docs, "links")
    monkeypatch.setattr(checkout, "MAX_FILES", 2)
    with served(docs, certificate) as url, pytest.raises(FlameMcpError, match="more than 2 files"):
        git.clone(url, "main", tmp_path / "a", git.Access(ca_file=authority.certificate))


def test_git_goes_through_the_proxy_of_the_environment(
    docs: Path,
    certificate: tuple[Path, Path],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    access = git.Access(ca_file=authority.certificate)
    with served(docs, certificate) as url, proxied() as (proxy, asked):
        monkeypatch.setenv("https_proxy", proxy)
        assert git.clone(url, "main", tmp_path / "a", access)
        assert set(asked) == {urlsplit(url).netloc}
        asked.clear()
        monkeypatch.setenv("no_proxy", "localhost")
        assert git.clone(url, "main", tmp_path / "b", access)
        assert asked == []


def test_git_follows_redirects_as_downloads_do(
    docs: Path, certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    """To https only, not from elsewhere into the machine, and what is no repository is read no further."""
    access = git.Access(password=PASSWORD, ca_file=authority.certificate)
    tail = "/info/refs?service=git-upload-pack"
    with served(docs, certificate, PASSWORD) as there:
        answers = {
            f"/moved.git{tail}": (301, f"{there}{tail}".encode()),
            f"/down.git{tail}": (301, f"http://localhost:1/x{tail}".encode()),
            f"/inside.git{tail}": (301, f"{there.replace('localhost', '127.0.0.1')}{tail}".encode()),
            f"/page.git{tail}": (200, b"<html>Sign in</html>"),
        }
        with files_served(answers, certificate) as url:
            for path, message in (
                # The same host, another port: another server, which gets no password.
                ("moved", r"check git\.credentialsSecretRef"),
                ("down", "isn't https"),
                ("inside", "inside the machine"),
                ("page", "not like a git repository: check the address"),
            ):
                with pytest.raises(FlameMcpError, match=message) as raised:
                    git.clone(f"{url}/{path}.git", "main", tmp_path / path, access)
                assert raised.value.kind == "user"
                assert "s3cret" not in str(raised.value)


# urllib3 lets go of a socket whose handshake failed without closing it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_unknown_authority_is_the_users_and_no_server_the_worlds(
    docs: Path, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    with served(docs, certificate) as url, pytest.raises(FlameMcpError, match="isn't trusted") as raised:
        git.clone(url, "main", tmp_path / "a")
    assert raised.value.kind == "user"
    del raised
    gc.collect()
    with pytest.raises(UnavailableError, match="cannot be read") as away:
        git.clone("https://127.0.0.1:1/x.git", "main", tmp_path / "b")
    assert away.value.kind == "world"


def test_the_whole_step(
    docs: Path, certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    secret = tmp_path / "credentials" / "flame"
    secret.mkdir(parents=True)
    (secret / "password").write_text(f"{PASSWORD}\n")
    (secret / "ca.crt").write_bytes(authority.certificate.read_bytes())
    notes = tmp_path / "mounts" / "notes"
    notes.mkdir(parents=True)
    (notes / "a.md").write_text("# A note\n")
    with served(docs, certificate, PASSWORD) as url:
        sources = read_sources(
            json.dumps(
                [
                    {"name": "flame", "git": {"url": url, "ref": "main", "path": "doc"}},
                    {"name": "notes", "configMap": {}},
                    {"name": "own", "bundled": {}},
                ]
            )
        )
        said: list[str] = []
        revision = fetch(
            sources, tmp_path / "out", tmp_path / "mounts", tmp_path / "credentials", said.append
        )
    flame, note, own = read_fetched(tmp_path / "out")
    assert (Path(flame.root) / "doc/page.md").exists()
    assert revision == f"flame@{flame.revision[:19]}, notes@{note.revision}"
    assert own.root == ""
    assert "s3cret" not in " ".join(said)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not valid sources"),
        ("nonsense", "not valid sources"),
        ('[{"name": "a"}]', "exactly one of git"),
        ('[{"name": "A", "bundled": {}}]', "0.name"),
        ('[{"name": "a", "git": {"url": "http://x/y"}}]', "git.url"),
        ('[{"name": "a", "git": {"url": "https:///y"}}]', "git.url"),
        ('[{"name": "a", "git": {"url": "https://[x/y"}}]', "git.url"),
        ('[{"name": "a", "http": {"url": "https://x:y/z"}}]', "http.url"),
        ('[{"name": "a", "http": {"url": "https://x y/z"}}]', "http.url"),
        ('[{"name": "a", "git": {"url": "https://me:s3cret@x/y"}}]', "git.url"),
        ('[{"name": "a", "bundled": {}}, {"name": "a", "bundled": {}}]', "same name"),
        ("@/no/such/file", "cannot be read"),
    ],
)
def test_sources_that_are_none(text: str, message: str) -> None:
    with pytest.raises(FlameMcpError, match=message) as raised:
        read_sources(text)
    assert "s3cret" not in str(raised.value)


def test_a_mounted_source_that_is_missing_is_said(tmp_path: Path) -> None:
    sources = read_sources('[{"name": "vol", "persistentVolumeClaim": {"path": "docs"}}]')
    with pytest.raises(FlameMcpError, match=r"source vol: .* isn't there"):
        fetch(sources, tmp_path / "out", tmp_path, tmp_path, quiet)
