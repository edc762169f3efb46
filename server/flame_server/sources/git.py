"""One commit of a git repository, without a git program: images need none."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flame_server.errors import FlameMcpError, UnavailableError

if TYPE_CHECKING:
    from dulwich.client import GitClient
    from dulwich.objects import ObjectID
    from dulwich.refs import Ref
    from dulwich.repo import Repo

SECONDS = 60.0
"""How long the server may be silent."""
MAX_FILES = 100_000
MAX_BYTES = 1024**3
# Bigger files are no pages, and nothing else of a repository is read.
MAX_FILE_BYTES = 2 * 1024 * 1024
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TEMPORARY = {408, 429, 500, 502, 503, 504}
_STATUS = re.compile(r"unexpected http resp (\d+)")


@dataclass(frozen=True)
class Access:
    """How a server is talked to.

    Attributes:
        password: Or a token; sent to the URL's own host only.
        ca_file: Authorities to trust instead of the system's.
    """

    username: str = "git"
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


def clone(url: str, ref: str | None, folder: Path, access: Access = Access()) -> str:
    """Writes the files of a branch, tag or commit into an empty folder, which is made if need be.

    Links, submodules and files that are too large for a page are left out.

    Returns:
        The commit, in hex.

    Raises:
        FlameMcpError: There is no such repository or ref, it isn't to be read, or it is too large.
        UnavailableError: The server is away for now.
    """
    from dulwich.repo import Repo  # noqa: PLC0415 - 20 MiB that only this needs

    folder.mkdir(parents=True, exist_ok=True)
    with _explained(url), Repo.init_bare(str(folder / ".git"), mkdir=True) as repository:
        client, path = _client(url, access)
        wanted: list[ObjectID] = []

        def choose(refs: "dict[Ref, ObjectID]", depth: int | None = None) -> "list[ObjectID]":  # noqa: ARG001
            wanted.append(_chosen(refs, ref, url))
            return wanted

        client.fetch(path, repository, determine_wants=choose, depth=1)  # type: ignore[arg-type]
        commit = _commit(repository, wanted[0])
        _write(repository, commit, folder, url)
        return commit.decode()


def revision(folder: Path) -> str | None:
    """The commit that a folder is a checkout of; None when it is none."""
    from dulwich.errors import NotGitRepository  # noqa: PLC0415 - see clone
    from dulwich.repo import Repo  # noqa: PLC0415 - see clone

    try:
        with Repo(str(folder)) as repository:
            return repository.head().decode()
    except (NotGitRepository, KeyError, OSError, ValueError):
        return None


def _client(url: str, access: Access) -> "tuple[GitClient, str]":
    from dulwich.client import Urllib3HttpGitClient, get_transport_and_path  # noqa: PLC0415 - see clone

    if not url.startswith("https://"):
        return get_transport_and_path(url)
    import urllib3  # noqa: PLC0415 - see clone

    pool = urllib3.PoolManager(
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(access.ca_file) if access.ca_file else None,
        # A Job tries again; here a failure is told at once.
        retries=urllib3.Retry(3, connect=0, read=0, other=0, redirect=3),
    )
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    client = Urllib3HttpGitClient(
        f"{scheme}://{host}/",
        dumb=False,
        pool_manager=pool,
        username=access.username if access.password else None,
        password=access.password,
        timeout=SECONDS,
        quiet=True,
    )
    return client, path


def _chosen(refs: "dict[Ref, ObjectID]", ref: str | None, url: str) -> "ObjectID":
    names = [ref.encode()] if ref else [b"HEAD", b"refs/heads/main", b"refs/heads/master"]
    for name in names:
        for full in (name, b"refs/heads/" + name, b"refs/tags/" + name):
            if full in refs:
                return refs[full]  # type: ignore[index]  # a str type that dulwich keeps to itself
    if ref and _COMMIT.fullmatch(ref):
        return ref.encode()  # type: ignore[return-value]  # likewise
    found = sorted(
        name.decode(errors="replace").split("/", 2)[2]
        for name in refs
        if name.startswith((b"refs/heads/", b"refs/tags/")) and not name.endswith(b"^{}")
    )
    shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    raise FlameMcpError(
        f"{url} has no branch, tag or commit {ref or 'HEAD'}; it has {shown or 'none at all'}"
    )


def _commit(repository: "Repo", found: "ObjectID") -> "ObjectID":
    """The commit itself, where a tag was asked for."""
    from dulwich.objects import Commit, Tag  # noqa: PLC0415 - see clone

    thing = repository[found]
    while isinstance(thing, Tag):
        thing = repository[thing.object[1]]
    if not isinstance(thing, Commit):
        raise FlameMcpError(f"{found.decode()} is no commit")
    return thing.id


def _write(repository: "Repo", commit: "ObjectID", folder: Path, url: str) -> None:
    tree = repository[commit].tree  # type: ignore[attr-defined]  # a commit, see `_commit`
    total = files = 0
    for path, mode, sha in _entries(repository, tree):
        files += 1
        if not stat.S_ISREG(mode):
            continue
        data = repository[sha].as_raw_string()
        if len(data) > MAX_FILE_BYTES:
            continue
        total += len(data)
        if files > MAX_FILES or total > MAX_BYTES:
            raise FlameMcpError(f"{url} has more than {MAX_FILES} files or {MAX_BYTES // 1024**2} MiB")
        target = folder / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _entries(repository: "Repo", tree: "ObjectID") -> "Iterator[tuple[bytes, int, ObjectID]]":
    from dulwich.index import validate_path  # noqa: PLC0415 - see clone
    from dulwich.object_store import iter_tree_contents  # noqa: PLC0415 - see clone

    for entry in iter_tree_contents(repository.object_store, tree):
        # `..`, `.git` and the like: such a tree is an attack.
        if entry.path and entry.mode and entry.sha and validate_path(entry.path):
            yield entry.path, entry.mode, entry.sha


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turns what dulwich raises into words, without what a URL may hold of a password.

    Raises:
        FlameMcpError: It is the user's to mend.
        UnavailableError: It passes by itself.
    """
    from dulwich.client import HTTPUnauthorized  # noqa: PLC0415 - see clone
    from dulwich.errors import GitProtocolError, NotGitRepository  # noqa: PLC0415 - see clone

    where = without_password(url)
    try:
        yield
    except HTTPUnauthorized as error:
        raise FlameMcpError(
            f"{where} asks for other credentials: check git.credentialsSecretRef and what it may read"
        ) from error
    except NotGitRepository as error:
        raise FlameMcpError(f"{where} is no git repository, or is hidden without credentials") from error
    except (GitProtocolError, OSError, ValueError, KeyError, AssertionError) as error:
        raise _of(error, where) from error


def _of(error: Exception, where: str) -> FlameMcpError:
    text = without_password(str(error)) or type(error).__name__
    status = _STATUS.search(text)
    if "certificate" in text.lower():
        return FlameMcpError(
            f"{where} has a certificate that isn't trusted: name its authority in git.caBundleConfigMapRef"
        )
    if status and int(status[1]) in (401, 403):
        return FlameMcpError(f"{where} answered HTTP {status[1]}: check git.credentialsSecretRef")
    if status and int(status[1]) not in _TEMPORARY:
        return FlameMcpError(f"{where} answered HTTP {status[1]}: check the address")
    if any(word in text for word in ("not our ref", "unadvertised object", "upload-pack: not")):
        return FlameMcpError(f"{where} doesn't give out that commit: name a branch or a tag")
    return UnavailableError(f"{where} cannot be read: {text[:300]}")


def without_password(text: str) -> str:
    """The text without what URLs in it may have before an `@`."""
    return re.sub(r"(://)[^/@\s]+@", r"\1", text)
