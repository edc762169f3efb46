"""Writes the files of a commit from a pack, without trusting its trees."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from flame_server.errors import FlameMcpError
from flame_server.sources.pack import Pack, TooLargeError

MAX_FILES = 100_000
MAX_BYTES = 1024**3
# Larger files are not pages, and only pages are read.
MAX_FILE_BYTES = 2 * 1024 * 1024
_MAX_TAGS = 8
_MAX_PATH = 1_024
_MAX_FOLDERS = 50_000


def find_commit(pack: Pack, found: bytes) -> tuple[bytes, bytes]:
    """The commit with this name, or that a tag of this name points to; and the name of its tree.

    Raises:
        FlameMcpError: It is no commit.
    """
    for _ in range(_MAX_TAGS):
        kind, data = pack.get(found) or (b"", b"")
        line = re.match(rb"(object|tree) ([0-9a-f]{40})\n", data)
        if line is None or kind not in (b"tag", b"commit"):
            break
        if kind == b"commit":
            return found, bytes.fromhex(line[2].decode())
        found = bytes.fromhex(line[2].decode())
    raise FlameMcpError(f"{found.hex()} is not a commit")


def check_out(pack: Pack, tree: bytes, folder: Path) -> None:
    """Writes the regular files below a tree to a folder; links, submodules and large files are left out.

    Raises:
        TooLargeError: There are too many files, or they are too large together.
    """
    total = files = 0
    for path, name in _files(pack, tree):
        files += 1
        found = pack.get(name) if name else None
        data = found[1] if found and found[0] == b"blob" else None
        total += len(data or b"")
        if files > MAX_FILES or total > MAX_BYTES:
            raise TooLargeError(f"it has more than {MAX_FILES} files or {MAX_BYTES // 1024**2} MiB")
        if data is None or len(data) > MAX_FILE_BYTES:
            continue
        target = folder / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _files(pack: Pack, root: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The paths of all entries below a tree that are no folders, with the names of regular files, else empty.

    One tree is in memory at a time.

    Raises:
        TooLargeError: There are too many folders: a tree may contain another one many times.
    """
    from dulwich.index import validate_path  # noqa: PLC0415 - see git.clone

    left, folders = [(b"", root)], 0
    while left:
        prefix, name = left.pop()
        found = pack.get(name)
        for mode, file, child in _entries(found[1] if found else b""):
            path = prefix + file
            # Skips `..`, `.git` and the like, which only attacks contain.
            usable = len(path) <= _MAX_PATH and validate_path(path)
            if not stat.S_ISDIR(mode):
                yield path, child if usable and stat.S_ISREG(mode) else b""
            elif usable:
                folders += 1
                left.append((path + b"/", child))
            if folders > _MAX_FOLDERS:
                raise TooLargeError(f"it has more than {_MAX_FOLDERS} folders")


def _entries(tree: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The mode, the file name and the object's name of each entry of a tree."""
    at = 0
    while at < len(tree):
        blank = tree.index(b" ", at)
        end = tree.index(b"\0", blank)
        yield int(tree[at:blank], 8), tree[blank + 1 : end], tree[end + 1 : end + 21]
        at = end + 21
