"""Copies docs from a mounted volume, whose writers need not be trusted: later steps read only the copy."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flame_server.errors import FlameMcpError
from flame_server.sources.below import OutsideError, files_below, opened

MAX_FILE_BYTES = 2 * 1024**2
"""Larger files are no pages and are left out."""
MAX_FILES = 50_000
MAX_BYTES = 1024**3
MAX_SEEN = 500_000
"""Files and folders that are looked at."""
_SHOWN = 20

Report = Callable[[str], None]


@dataclass(frozen=True)
class Copied:
    """Where the pages are in the copy, and a digest of them, as a volume has no revision of its own."""

    path: str
    revision: str


class _FullError(Exception):
    """There is more than may be copied."""


def copy(mount: Path, path: str | None, target: Path, report: Report) -> Copied:
    """Copies the folder `path` of a volume, and what else fits, as pages may include files beside it.

    Hidden files, links that lead outside, and files too large for a page are left out.

    Raises:
        FlameMcpError: The path leads out of the volume, there is no such folder, or it is too large.
        OSError: The copy cannot be written.
    """
    try:
        with opened(mount, path or ".") as top:
            if not top.is_folder:
                raise NotADirectoryError
            pages = top.path
    except OutsideError as error:
        raise FlameMcpError(f"path {path} leads outside the volume") from error
    except OSError as error:
        raise FlameMcpError(f"the volume has no folder {path}") from error
    copying = _Copying(mount, target, report)
    try:
        digest = copying.folder(pages, pages)
    except _FullError as error:
        raise FlameMcpError(
            f"the volume holds more than {MAX_FILES} files or {MAX_BYTES // 1024**2} MiB: "
            "name the folder with the pages in path"
        ) from error
    try:
        if pages != ".":
            copying.folder(".", pages)
    except _FullError:
        report(f"the volume is large: only {path} and some of what is beside it can be included by pages")
    (target / pages).mkdir(parents=True, exist_ok=True)
    return Copied(pages, f"sha256:{digest[:12]}")


@dataclass
class _Copying:
    mount: Path
    target: Path
    report: Report
    size: int = 0
    seen: int = 0
    left_out: int = 0
    files: int = 0
    tried: set[str] = field(default_factory=set)

    def folder(self, start: str, pages: str) -> str:
        """Copies what is below a folder; returns the digest of it."""
        digest = hashlib.sha256()
        for folder, folders, names in files_below(self.mount, start):
            self.seen += len(folders) + len(names)
            if self.seen > MAX_SEEN:
                raise _FullError
            folders[:] = sorted(name for name in folders if _is_wanted(folder, name, pages))
            for name in sorted(names):
                path = os.path.normpath(f"{folder}/{name}")
                if name.startswith(".") or path in self.tried:
                    continue
                self.tried.add(path)
                if (data := self._read(path)) is not None:
                    self._write(path, data)
                    digest.update(os.fsencode(f"{os.path.relpath(path, start)}\0"))
                    digest.update(hashlib.sha256(data).digest())
        return digest.hexdigest()

    def _read(self, path: str) -> bytes | None:
        try:
            with opened(self.mount, path) as file:
                return file.read(MAX_FILE_BYTES)
        except (FlameMcpError, OSError) as error:
            self.left_out += 1
            if self.left_out <= _SHOWN:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self.report(f"{path.encode('unicode_escape').decode()}: left out: {reason}")
            return None

    def _write(self, path: str, data: bytes) -> None:
        self.size += len(data)
        self.files += 1
        if self.files > MAX_FILES or self.size > MAX_BYTES:
            raise _FullError
        place = self.target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _is_wanted(folder: str, name: str, pages: str) -> bool:
    # The pages themselves may be in a hidden folder, to which a link leads.
    path = os.path.normpath(f"{folder}/{name}")
    return not name.startswith(".") or f"{pages}/".startswith(f"{path}/")
