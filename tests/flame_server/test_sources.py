"""Fetching: git over HTTPS, archives with every trick, and what is mounted."""

import gc
import gzip
import hashlib
import io
import json
import secrets
import ssl
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.sources import archive, git
from flame_server.sources.fetch import fetch, read_fetched, read_sources
from tests.flame_server.conftest import quiet
from tests.git_server import repository
from tests.git_server.served import server
from tests.harness.pki import Authority, Certificate

PASSWORD = "git-s3cret"  # noqa: S105 - of a server of the test's


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def certificate(authority: Authority) -> tuple[Path, Path]:
    return authority.pair("localhost", Certificate("localhost", addresses=("localhost", "127.0.0.1")))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A repository with two commits, the first of which is tagged."""
    folder = tmp_path / "docs"
    (folder / "doc").mkdir(parents=True)
    (folder / "doc" / "page.md").write_text("# Old\n\nText.\n")
    repository.create(folder, tmp_path / "repository")
    repository.change(tmp_path / "repository", "page.md", "# New\n\nText.\n")
    return tmp_path / "repository"


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
    monkeypatch.setattr(git, "MAX_FILES", 2)
    with served(docs, certificate) as url, pytest.raises(FlameMcpError, match="more than 2 files"):
        git.clone(url, "main", tmp_path / "a", git.Access(ca_file=authority.certificate))


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
                ("page", "as no git repository: check the address"),
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
        ("[]", "no sources"),
        ("nonsense", "no sources"),
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


def zipped(files: dict[str, bytes], mode: int = 0o100644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tarred(add: Callable[[tarfile.TarFile], None], kind: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=kind) as made:  # type: ignore[call-overload]  # w:gz and the like
        add(made)
    return out.getvalue()


Adds = Callable[[tarfile.TarFile], None]


def file(name: str, data: bytes = b"# Page\n", kind: bytes = tarfile.REGTYPE) -> Adds:
    def add(made: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
        made.addfile(info, io.BytesIO(data))

    return add


def unpacked(data: bytes, tmp_path: Path) -> Path:
    (tmp_path / "archive").write_bytes(data)
    (tmp_path / "out").mkdir()
    return archive.unpack(tmp_path / "archive", tmp_path / "out")


@pytest.mark.parametrize(
    "data",
    [
        zipped({"top/doc/page.md": b"# Page\n"}),
        *(tarred(file("top/doc/page.md"), kind) for kind in ("w", "w:gz", "w:bz2", "w:xz")),
    ],
    ids=["zip", "tar", "gz", "bz2", "xz"],
)
def test_every_kind_of_archive_is_read(data: bytes, tmp_path: Path) -> None:
    assert (unpacked(data, tmp_path) / "doc/page.md").read_bytes() == b"# Page\n"


@pytest.mark.parametrize(
    "data",
    [
        zipped({"../x.md": b"x"}),
        zipped({"a/../../x.md": b"x"}),
        zipped({"/x.md": b"x"}),
        zipped({"..\\x.md": b"x"}),
        zipped({"C:\\x.md": b"x"}),
        tarred(file("../x.md")),
        tarred(file("/x.md")),
    ],
)
def test_nothing_leads_outside(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(FlameMcpError, match="leads outside"):
        unpacked(data, tmp_path)
    assert [path.name for path in tmp_path.rglob("x.md")] == []


@pytest.mark.parametrize(
    "data",
    [
        zipped({"link.md": b"/etc/passwd"}, mode=0o120777),
        tarred(file("link.md", b"", tarfile.SYMTYPE)),
        tarred(file("link.md", b"", tarfile.LNKTYPE)),
        tarred(file("link.md", b"", tarfile.CHRTYPE)),
        tarred(file("link.md", b"", tarfile.FIFOTYPE)),
    ],
)
def test_links_and_devices_are_left_out(data: bytes, tmp_path: Path) -> None:
    assert list(unpacked(data, tmp_path).iterdir()) == []


def test_bombs_are_refused_by_what_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1024**2)
    with pytest.raises(FlameMcpError, match="more than 1 MiB"):
        unpacked(zipped({"bomb.md": bytes(8 * 1024**2)}), tmp_path)


def small_tar_of_zeros(name: str, kind: bytes, size: int) -> bytes:
    """A tar whose one member says that it has so many bytes, and has: packed they are hardly anything."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return gzip.compress(info.tobuf() + bytes(size), 1)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, b"V", tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_bombs_are_refused_in_members_that_are_left_out_and_in_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1024**2)
    with pytest.raises(FlameMcpError, match=r"more than 1 MiB|a name that is too long"):
        unpacked(small_tar_of_zeros("bomb", kind, 8 * 1024**2), tmp_path)


@pytest.mark.parametrize(
    "data", [zipped({"a.md": bytes(3 * 1024**2)}), tarred(file("a.md", bytes(3 * 1024**2)))]
)
def test_what_packs_to_hardly_anything_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(archive, "_RATIO_FROM", 1024**2)
    with pytest.raises(FlameMcpError, match="more than 200 times its size"):
        unpacked(data, tmp_path)


def test_the_names_of_a_zip_are_not_read_however_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MAX_ZIP_NAMES", 100)
    with pytest.raises(FlameMcpError, match="more than 50000 files"):
        unpacked(zipped({f"{number}.md": b"x" for number in range(3)}), tmp_path)


def test_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 10)
    with pytest.raises(FlameMcpError, match="more than 10 files"):
        unpacked(zipped({f"{number}.md": b"x" for number in range(11)}), tmp_path)


@pytest.mark.parametrize("data", [b"", b"no archive", zipped({"a.md": b"x"})[:40], b"\x1f\x8b\x08junk"])
def test_what_is_no_archive_says_so(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(FlameMcpError, match="no archive that can be read"):
        unpacked(data, tmp_path)


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


def test_a_download_is_checked_and_follows_https_only(
    certificate: tuple[Path, Path], authority: Authority, tmp_path: Path
) -> None:
    answers = {
        "/a.zip": (200, b"content"),
        "/moved": (302, b"/a.zip"),
        "/loop": (302, b"/loop"),
        "/down": (302, b"http://localhost/a.zip"),
        "/inside": (302, b"https://127.0.0.1:1/a.zip"),
        "/metadata": (302, b"https://[::ffff:169.254.169.254]/latest"),
        "/odd": (302, b"https://[::1"),
        "/nowhere": (304, b""),
        "/busy": (503, b""),
        "/gone": (404, b""),
    }
    checksum, target = hashlib.sha256(b"content").hexdigest(), tmp_path / "a"
    verify = ssl.create_default_context(cafile=authority.certificate)
    with files_served(answers, certificate) as url:
        assert archive.download(f"{url}/moved", checksum, target, verify) == checksum
        assert target.read_bytes() == b"content"
        for path, sha256, message, kind in (
            ("/a.zip", "0" * 64, "has the SHA-256", "user"),
            ("/loop", None, "redirected more than", "user"),
            ("/down", None, "isn't https", "user"),
            ("/inside", None, "inside the machine", "user"),
            ("/metadata", None, "inside the machine", "user"),
            ("/odd", None, "Invalid URL in location", "world"),
            ("/nowhere", None, "HTTP 304", "user"),
            ("/gone", None, "HTTP 404", "user"),
            ("/busy", None, "HTTP 503", "world"),
        ):
            with pytest.raises(FlameMcpError, match=message) as raised:
                archive.download(f"{url}{path}", sha256, target, verify)
            assert raised.value.kind == kind
        with pytest.raises(FlameMcpError, match="isn't trusted"):
            archive.download(f"{url}/a.zip", None, target)


def test_a_download_ends_where_it_is_too_large(
    certificate: tuple[Path, Path], authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_DOWNLOAD", 1024**2)
    verify = ssl.create_default_context(cafile=authority.certificate)
    with (
        files_served({"/a": (200, bytes(2 * 1024**2))}, certificate) as url,
        pytest.raises(FlameMcpError, match="more than 1 MiB"),
    ):
        archive.download(f"{url}/a", None, tmp_path / "a", verify)


def test_a_mounted_source_that_is_missing_is_said(tmp_path: Path) -> None:
    sources = read_sources('[{"name": "vol", "persistentVolumeClaim": {"path": "docs"}}]')
    with pytest.raises(FlameMcpError, match=r"source vol: .* isn't there"):
        fetch(sources, tmp_path / "out", tmp_path, tmp_path, quiet)
