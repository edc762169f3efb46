"""Downloads and unpacks archives of docs (zip, tar), without trusting their headers."""

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import os
import ssl
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import httpx

from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.sources.web import may_pass, proxy_of, refuse_peer, refuse_redirect
from flame_server.sources.xz import Xz

SECONDS = 60.0
MAX_DOWNLOAD = 512 * 1024**2
MAX_BYTES = 1024**3
MAX_FILES = 50_000
MAX_REDIRECTS = 5
# Docs compress to a fifth or a tenth; an archive beyond this ratio was made to fill a disk.
MAX_RATIO = 200
_RATIO_FROM = 64 * 1024**2
_PIECE = 1024 * 1024
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# The size of the end of a zip with the longest possible comment.
_ZIP_END_BYTES = 22 + 65_535 + 20
_MAX_ZIP_NAMES = 12 * 1024**2
_TAR_NAMES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, *tarfile.GNU_TYPES[:2])
_MAX_TAR_NAME = 64 * 1024
_PACKED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", Xz),
)


@dataclass(frozen=True)
class Access:
    """Credentials and CA certificates for the server of an archive.

    Attributes:
        username: None sends the password as a bearer token.
        password: A password or token; sent only to the scheme, host and port of the URL.
        verify: CA certificates to trust instead of the usual ones.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    verify: ssl.SSLContext | bool = True

    def headers(self, url: str, place: str) -> dict[str, str]:
        """The headers of a request to `place` that began at `url`.

        Raises:
            FlameMcpError: The password cannot be sent.
        """
        if not self.password or _origin(url) != _origin(place):
            return {}
        if self.username:
            pair = f"{self.username}:{self.password}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if not self.password.isascii() or not self.password.isprintable():
            raise FlameMcpError(
                "the password is sent as a token and must be one line of ASCII; or add a username"
            )
        return {"Authorization": f"Bearer {self.password}"}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def download(url: str, sha256: str | None, target: Path, access: Access = Access()) -> str:
    """Downloads a file. All redirects must be https.

    Args:
        url: The URL of the file.
        sha256: Its expected checksum, in hex; None accepts any.
        target: Where to save it.
        access: Credentials, which no redirect carries to another host, and CA certificates.

    Returns:
        Its checksum.

    Raises:
        FlameMcpError: It does not exist, is too large, or has another checksum.
        UnavailableError: The server is unavailable for now.
    """
    try:
        with httpx.Client(verify=access.verify, timeout=SECONDS, follow_redirects=False) as client:
            return _download(client, url, sha256, target, access)
    except httpx.ConnectError as error:
        if "certificate" in str(error).lower():
            raise FlameMcpError(f"{url} has a certificate that isn't trusted") from error
        raise UnavailableError(f"{url} cannot be reached: {error}") from error
    except httpx.HTTPError as error:
        raise UnavailableError(f"{url} cannot be read: {error or type(error).__name__}") from error
    # Of what a server calls a place, and of names that are none.
    except (httpx.InvalidURL, ValueError) as error:
        raise FlameMcpError(f"{url} leads to a place that cannot be read: {type(error).__name__}") from error


def _download(client: httpx.Client, url: str, sha256: str | None, target: Path, access: Access) -> str:
    place = url
    for _ in range(MAX_REDIRECTS + 1):
        refuse_redirect(url, place)
        headers = access.headers(url, place)
        with client.stream("GET", place, headers=headers, extensions=_watched(place)) as response:
            if response.has_redirect_location:
                place = urljoin(place, response.headers["location"])
                continue
            if response.status_code in (401, 403):
                advice = "check http.credentialsSecretRef and what it may read"
                raise FlameMcpError(f"{url} answered HTTP {response.status_code}: {advice}")
            if response.status_code != 200:
                kind = UnavailableError if may_pass(response.status_code) else FlameMcpError
                raise kind(f"{url} answered HTTP {response.status_code}: check the address")
            found = _save(response, target, url)
        if sha256 and found != sha256:
            raise FlameMcpError(f"{url} has the SHA-256 {found}, not {sha256}: check which of both is right")
        return found
    raise FlameMcpError(f"{url} is redirected more than {MAX_REDIRECTS} times")


def _watched(place: str) -> dict[str, Any]:
    """Has the address of the server checked when the connection is made, before anything is sent to it."""

    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            stream = info["return_value"]
            try:
                refuse_peer(str(stream.get_extra_info("server_addr")[0]))
            except FlameMcpError:
                stream.close()
                raise

    return {} if proxy_of(place) else {"trace": trace}


def _save(response: httpx.Response, target: Path, url: str) -> str:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        # Raw: a body that is decompressed on the way could be a bomb, and would not match the checksum.
        for piece in response.iter_raw(_PIECE):
            size += len(piece)
            if size > MAX_DOWNLOAD:
                raise FlameMcpError(f"{url} has more than {MAX_DOWNLOAD // 1024**2} MiB")
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def unpack(archive: Path, folder: Path) -> Path:
    """Unpacks the regular files of an archive into an empty folder. Its content tells its format.

    Returns:
        The folder of the docs: the top folder of the archive, if it has only one.

    Raises:
        FlameMcpError: It is not a readable archive, has paths outside the folder, or is too large.
    """
    space = _Space(archive.stat().st_size)
    try:
        with archive.open("rb") as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(_ZIP):
                _unpack_zip(file, folder, space)
            else:
                _unpack_tar(_decompressed(file, start), folder, space)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error) as error:
        raise FlameMcpError(
            f"it is not a readable archive (zip, or tar with gzip, bzip2 or xz): {error}"
        ) from error
    except (NotImplementedError, RuntimeError) as error:
        raise FlameMcpError(f"it uses an unsupported compression: {error}") from error
    except OSError as error:
        raise FlameMcpError(f"it can't be unpacked: {error.strerror or error}") from error
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _unpack_zip(file: IO[bytes], folder: Path, space: "_Space") -> None:
    _refuse_many(file)
    with zipfile.ZipFile(file) as opened:
        for member in opened.infolist():
            # The upper half is the Unix file mode: links are stored as files that contain their target.
            if member.is_dir() or (member.external_attr >> 28) not in (0, 0o10):
                continue
            # Others need up to 4 GiB of memory, which the archive asks for.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise NotImplementedError(f"zip method {member.compress_type}: use deflate")
            space.count()
            with _place(folder, member.filename) as target, opened.open(member) as source:
                space.copy(source, target)


def _refuse_many(file: IO[bytes]) -> None:
    """Checks the end of a zip for too many files: the library reads all names before it yields the first."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _ZIP_END_BYTES, 0))
    end = file.read()
    # The library looks at the last 22 bytes first, and for an end with a comment only then.
    at = len(end) - 22 if end[-22:-18] == b"PK\x05\x06" else end.rfind(b"PK\x05\x06", 0, -18)
    # Zip64 stores the number elsewhere, and is only needed for archives beyond the limits here.
    if end.rfind(b"PK\x06\x07") >= 0 or (
        0 <= at <= len(end) - 22 and struct.unpack_from("<L", end, at + 12)[0] > _MAX_ZIP_NAMES
    ):
        raise FlameMcpError(f"it holds more than {MAX_FILES} files")
    file.seek(0)


def _decompressed(file: IO[bytes], start: bytes) -> IO[bytes]:
    for magic, opener in _PACKED:
        if start.startswith(magic):
            opened: IO[bytes] = opener(file)
            return opened
    return file


class _TarInfo(tarfile.TarInfo):
    """A member of a tar. Refuses names that are too long before they are read."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _TAR_NAMES and self.size > _MAX_TAR_NAME:
            raise tarfile.ReadError("it has a name that is too long")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # made to be overridden
        # The library keeps all of these until the end.
        if sum(len(key) + len(value) for key, value in archive.pax_headers.items()) > _MAX_TAR_NAME:
            raise tarfile.ReadError("its global headers are too long")
        return member


def _unpack_tar(stream: IO[bytes], folder: Path, space: "_Space") -> None:
    # As a stream: otherwise the library would read all headers, perhaps millions, before the first member.
    with tarfile.open(fileobj=_Counted(stream, space), mode="r|", tarinfo=_TarInfo) as opened:
        for member in opened:
            # The library would keep all members, whose names may be long.
            opened.members.clear()  # type: ignore[attr-defined]  # an attribute of long standing
            space.count()
            if not member.isreg() or member.issparse():
                continue
            source = opened.extractfile(member)
            if source is not None:
                with _place(folder, member.name) as target, source:
                    space.copy(source, target)


@contextmanager
def _place(folder: Path, name: str) -> Iterator[Path]:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts or ":" in path.parts[0]:
        raise FlameMcpError(f"it holds {name[:200]!r}, which leads outside: nothing of it is read")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    yield target


class _Space:
    """Counts the files and bytes that are really unpacked: headers may lie."""

    def __init__(self, packed: int) -> None:
        self._packed = packed
        self._bytes = self._read = self._files = 0

    def count(self) -> None:
        self._files += 1
        if self._files > MAX_FILES:
            raise FlameMcpError(f"it holds more than {MAX_FILES} files")

    def copy(self, source: IO[bytes], target: Path) -> None:
        with target.open("wb") as file:
            while piece := source.read(_PIECE):
                self._bytes = self._within(self._bytes + len(piece))
                file.write(piece)

    def read(self, size: int) -> None:
        """Counts bytes that are decompressed, including those of members that are left out."""
        self._read = self._within(self._read + size)

    def _within(self, total: int) -> int:
        if total > MAX_BYTES:
            raise FlameMcpError(f"it holds more than {MAX_BYTES // 1024**2} MiB")
        if total > max(_RATIO_FROM, self._packed * MAX_RATIO):
            raise FlameMcpError(f"it unpacks to more than {MAX_RATIO} times its size, as no docs do")
        return total


class _Counted(io.RawIOBase):
    """A stream whose bytes are counted as they are read."""

    def __init__(self, stream: IO[bytes], space: _Space) -> None:
        self._stream = stream
        self._space = space

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase`."""
        found = self._stream.read(size)
        self._space.read(len(found))
        return found
