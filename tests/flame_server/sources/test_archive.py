"""Archives: downloads, and every trick that one can play when it is unpacked."""

import gzip
import hashlib
import io
import ssl
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from flame_server.errors import FlameMcpError
from flame_server.sources import archive
from tests.harness.pki import Authority
from tests.support.server.https_servers import files_served


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
    with pytest.raises(FlameMcpError, match="not a readable archive"):
        unpacked(data, tmp_path)


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
        "/never": (501, b""),
        "/gone": (404, b""),
    }
    checksum, target = hashlib.sha256(b"content").hexdigest(), tmp_path / "a"
    access = archive.Access(verify=ssl.create_default_context(cafile=authority.certificate))
    with files_served(answers, certificate) as url:
        assert archive.download(f"{url}/moved", checksum, target, access) == checksum
        assert target.read_bytes() == b"content"
        for path, sha256, message, kind in (
            ("/a.zip", "0" * 64, "has the SHA-256", "user"),
            ("/loop", None, "redirected more than", "user"),
            ("/down", None, "isn't https", "user"),
            ("/inside", None, "inside the machine", "user"),
            ("/metadata", None, "keeps to itself", "user"),
            ("/odd", None, "Invalid URL in location", "world"),
            ("/nowhere", None, "HTTP 304", "user"),
            ("/gone", None, "HTTP 404", "user"),
            ("/busy", None, "HTTP 503", "world"),
            ("/never", None, "HTTP 501", "user"),
        ):
            with pytest.raises(FlameMcpError, match=message) as raised:
                archive.download(f"{url}{path}", sha256, target, access)
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
        archive.download(f"{url}/a", None, tmp_path / "a", archive.Access(verify=verify))
