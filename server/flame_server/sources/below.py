"""Opens files below a folder whose content may change at any time, so that nothing outside it is read.

Each part of a path is opened once, in the folder that is open already, and links are followed by hand. What
is looked at afterwards is the open file: nobody can put another one in its place.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flame_server.errors import FlameMcpError

_MAX_LINKS = 40
_OUTSIDE = "it is a link to a file outside the docs source"
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class OutsideError(FlameMcpError):
    """A path leads outside the folder."""


@dataclass(frozen=True)
class Opened:
    """An open file or folder.

    Attributes:
        fd: Its descriptor.
        path: Its path below the folder, without links; "." for the folder itself.
    """

    fd: int
    path: str

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(os.fstat(self.fd).st_mode)

    def read(self, limit: int) -> bytes:
        """The content.

        Raises:
            FlameMcpError: It is not a regular file, or has more than `limit` bytes.
            OSError: It cannot be read.
        """
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode):
            raise FlameMcpError("it is not a regular file")
        size = status.st_size
        if size <= limit:
            with os.fdopen(os.dup(self.fd), "rb") as file:
                data = file.read(limit + 1)
            if len(data) <= limit:
                return data
            size = len(data)
        raise FlameMcpError(f"it has {size / 1e6:.1f} MB; the limit is {limit / 1e6:.1f} MB a page")


@contextmanager
def opened(root: Path, path: str) -> Iterator[Opened]:
    """Opens a path below the folder `root`, through links that stay below it.

    Raises:
        OutsideError: It leads outside.
        OSError: There is no such file, or it cannot be opened.
    """
    with ExitStack() as stack:
        yield _open(stack, root, path)


def _open(stack: ExitStack, root: Path, path: str) -> Opened:
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, top)
    # The folders from `root` down to where we are, each with its name.
    where: list[tuple[int, str]] = [(top, "")]
    left, links = _parts(root, path), 0
    while left:
        name = left.pop()
        if name == "..":
            where.pop()
            if not where:
                raise OutsideError(_OUTSIDE)
            continue
        folder = where[-1][0]
        try:
            found = os.open(name, _FLAGS, dir_fd=folder)
        except OSError as error:
            links += 1
            if error.errno != errno.ELOOP or links > _MAX_LINKS:
                raise
            target = os.readlink(name, dir_fd=folder)
            if target.startswith("/"):
                where = where[:1]
            left += _parts(root, target)
            continue
        stack.callback(os.close, found)
        where.append((found, name))
        if left and not stat.S_ISDIR(os.fstat(found).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return Opened(where[-1][0], "/".join(name for _, name in where[1:]) or ".")


def _parts(root: Path, path: str) -> list[str]:
    """The parts of a path, below `root` if it is absolute; the last one first."""
    if path.startswith("/"):
        try:
            path = str(Path(path).relative_to(root))
        except ValueError as error:
            raise OutsideError(_OUTSIDE) from error
    return [part for part in path.split("/") if part not in {"", "."}][::-1]


def files_below(root: Path, path: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walks the folders below `path`, as `os.walk` does: each with its path below `root`, folders and files.

    Links to folders are not followed. The list of folders may be shortened to leave some out.

    Raises:
        OutsideError: `path` leads outside `root`.
        OSError: There is no such folder.
    """
    with opened(root, path) as top:
        # fwalk compares what it opens with what it saw, so a link that takes a folder's place is noticed.
        for folder, folders, files, _ in os.fwalk(".", dir_fd=top.fd):
            yield os.path.normpath(os.path.join(top.path, folder)), folders, files  # noqa: PTH118 - no Path
