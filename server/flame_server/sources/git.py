"""Fetches one commit of a git repository, without a git program, so that images need none."""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.sources.checkout import check_out, find_commit
from flame_server.sources.pack import Pack, TooLargeError

if TYPE_CHECKING:
    from dulwich.client import GitClient
    from dulwich.objects import ObjectID
    from dulwich.refs import Ref

SECONDS = 60.0
"""The timeout of network reads."""
MAX_BYTES = 1024**3
MAX_REFS_BYTES = 32 * 1024**2
"""What a server may send before it is told what is wanted: the list of branches and tags."""
_MAX_REASON = 300
_MAX_NAME = 100
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Access:
    """Credentials and CA certificates for a git server.

    Attributes:
        password: A password or token; sent only to the host of the URL.
        ca_file: CA certificates to trust instead of the system's.
    """

    username: str = "git"
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


def clone(url: str, ref: str | None, folder: Path, access: Access = Access()) -> str:
    """Writes the files of a branch, tag or commit into an empty folder, which is created if needed.

    Links, submodules and files that are too large for a page are skipped.

    Returns:
        The commit, in hex.

    Raises:
        FlameMcpError: There is no such repository or ref, access is denied, or it is too large.
        UnavailableError: The server is unavailable for now.
    """
    from dulwich.pack import apply_delta  # noqa: PLC0415 - 20 MiB that only git sources need

    folder.mkdir(parents=True, exist_ok=True)
    where = without_password(url)
    with _explained(url), TemporaryFile(dir=folder) as file:
        received = _Received(MAX_REFS_BYTES)
        client, path = _client(url, access, received)
        wanted: list[ObjectID] = []

        def choose(refs: "dict[Ref, ObjectID]", depth: int | None = None) -> "list[ObjectID]":  # noqa: ARG001
            wanted.append(_chosen(refs, ref, url))
            received.limit = MAX_BYTES
            return wanted

        def write(data: bytes) -> int:
            if file.tell() + len(data) > MAX_BYTES:
                raise FlameMcpError(f"{where} sends more than {MAX_BYTES // 1024**2} MiB")
            return file.write(data)

        client.fetch_pack(path, choose, _Nothing(), write, depth=1)  # type: ignore[arg-type]
        try:
            pack = Pack(file, apply_delta)
            commit, tree = find_commit(pack, bytes.fromhex(wanted[0].decode()))
            check_out(pack, tree, folder)
        except TooLargeError as error:
            raise FlameMcpError(f"{where} is too large: {error}") from error
        return commit.hex()


class _Nothing:
    """What the server is told about commits that are here already: there are none."""

    def __next__(self) -> None:
        """See dulwich's graph walkers."""

    def ack(self, sha: bytes) -> None:
        """See dulwich's graph walkers."""

    def nak(self) -> None:
        """See dulwich's graph walkers."""


@dataclass
class _Received:
    """Counts the bytes of answers."""

    limit: int
    size: int = 0

    def count(self, size: int, url: str) -> None:
        self.size += size
        if self.size > self.limit:
            raise FlameMcpError(f"{url} sends more than {self.limit // 1024**2} MiB")


def revision(folder: Path) -> str | None:
    """The commit of a folder that is a git checkout; None for any other folder."""
    from dulwich.errors import NotGitRepository  # noqa: PLC0415 - see clone
    from dulwich.repo import Repo  # noqa: PLC0415 - see clone

    try:
        with Repo(str(folder)) as repository:
            return repository.head().decode()
    except (NotGitRepository, KeyError, OSError, ValueError):
        return None


def _client(url: str, access: Access, received: _Received) -> "tuple[GitClient, str]":
    from dulwich.client import get_transport_and_path  # noqa: PLC0415 - see clone

    if not url.startswith("https://"):
        return get_transport_and_path(url)
    parts = urlsplit(url)
    if parts.username and not access.password:
        access = replace(access, username=unquote(parts.username), password=unquote(parts.password or ""))
    # From here on the URL is used in requests and messages, so a password in it is removed.
    return _https_client(
        parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), access, received
    ), ""


def _https_client(url: str, access: Access, received: _Received) -> "GitClient":
    from dulwich.client import Urllib3HttpGitClient  # noqa: PLC0415 - see clone
    from dulwich.errors import GitProtocolError  # noqa: PLC0415 - see clone

    from flame_server.sources import web  # noqa: PLC0415 - see clone

    class Client(Urllib3HttpGitClient):
        """Limits the size of answers, and refuses answers that are not from a git server."""

        def _http_request(self, *args: Any, **kwargs: Any) -> tuple[Any, Callable[[int], bytes]]:  # noqa: ANN401 - as the library has it
            response, read = super()._http_request(*args, **{**kwargs, "raise_for_status": False})
            try:
                _refuse(response.status, response.headers, url)
            except FlameMcpError:
                response.close()
                raise

            head = bytearray()

            def bounded(size: int) -> bytes:
                data = read(size)
                head.extend(data[: _MAX_REASON - len(head)])
                if not data and head[4:8] == b"ERR ":
                    # The library would report a lost connection, as if another try could help.
                    raise GitProtocolError(head[8:].decode(errors="replace"))
                received.count(len(data), url)
                return data

            return response, bounded

    return Client(
        url,
        dumb=False,
        pool_manager=web.pool(url, access.ca_file),
        username=access.username if access.password else None,
        password=access.password,
        timeout=SECONDS,
        quiet=True,
    )


def _refuse(status: int, headers: Mapping[str, str], where: str) -> None:
    from flame_server.sources.web import may_pass  # noqa: PLC0415 - see clone

    if status in (401, 403):
        raise FlameMcpError(
            f"{where} answered HTTP {status}: check git.credentialsSecretRef and what it may read"
        )
    if status == 404:
        raise FlameMcpError(f"{where} is not a git repository, or is hidden without credentials")
    if may_pass(status):
        raise UnavailableError(f"{where} cannot be read: it answered HTTP {status}")
    # Otherwise any web page would be read as a "dumb" git repository, however long it is.
    if status != 200 or "application/x-git-" not in headers.get("Content-Type", ""):
        raise FlameMcpError(
            f"{where} answered HTTP {status}, but not like a git repository: check the address"
        )
    if headers.get("Content-Encoding", "identity") != "identity":
        raise FlameMcpError(f"{where} sends a compressed answer, which it was not asked for")


def _chosen(refs: "dict[Ref, ObjectID]", ref: str | None, url: str) -> "ObjectID":
    names = [ref.encode()] if ref else [b"HEAD", b"refs/heads/main", b"refs/heads/master"]
    for name in names:
        for full in (name, b"refs/heads/" + name, b"refs/tags/" + name):
            if full in refs:
                return refs[full]  # type: ignore[index]  # a private type of dulwich
    if ref and _COMMIT.fullmatch(ref):
        return ref.encode()  # type: ignore[return-value]  # likewise
    found = sorted(
        name.decode(errors="replace").split("/", 2)[2]
        for name in refs
        if name.startswith((b"refs/heads/", b"refs/tags/")) and not name.endswith(b"^{}")
    )
    plain = ("".join(one for one in name[:_MAX_NAME] if one.isprintable()) for name in found[:5])
    shown = ", ".join(plain) + (", ..." if len(found) > 5 else "") or "none at all"
    where = without_password(url)
    raise FlameMcpError(f"{where} has no branch, tag or commit {ref or 'HEAD'}; it has {shown}")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turns the exceptions of dulwich into plain errors, without passwords from URLs.

    Raises:
        FlameMcpError: The user has to fix it.
        UnavailableError: It may pass by itself.
    """
    from dulwich import errors  # noqa: PLC0415 - see clone
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see clone

    where = without_password(url)
    try:
        yield
    except errors.NotGitRepository as error:
        raise FlameMcpError(f"{where} is not a git repository, or is hidden without credentials") from error
    # These also come from connections that break off, and from damaged objects.
    except (
        errors.GitProtocolError, HTTPError, OSError, ValueError, KeyError, AssertionError, zlib.error,
        errors.ChecksumMismatch, errors.FileFormatException, errors.WrongObjectException,
        errors.ObjectMissing, errors.ApplyDeltaError,
    ) as error:  # fmt: skip
        raise _of(error, where) from error


def _of(error: Exception, where: str) -> FlameMcpError:
    text = without_password(str(error)) or type(error).__name__
    if "certificate" in text.lower():
        return FlameMcpError(
            f"{where} has a certificate that isn't trusted: name its authority in git.caBundleConfigMapRef"
        )
    if any(word in text for word in ("not our ref", "unadvertised object", "upload-pack: not")):
        return FlameMcpError(f"{where} does not provide that commit: name a branch or a tag")
    return UnavailableError(f"{where} cannot be read: {text[:300]}")


def without_password(text: str) -> str:
    """The text without user names and passwords in its URLs."""
    return re.sub(r"(://)[^/@\s]+@", r"\1", text)
