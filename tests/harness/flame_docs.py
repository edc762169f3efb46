"""Where the Flame docs come from: a folder or a git repository, by `FLAME_DOCS`.

Default: `../shared/flame-docs` beside the project where that folder is there, else Flame's public repository
at a pinned commit. `FLAME_DOCS_REF` says which branch, tag or commit of a repository.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

REPOSITORY = "https://github.com/flame-engine/flame.git"
REF = "7fd33dee9b822bef7b3fbf0621d0f3ebdab39a5d"
ROOT = Path(__file__).resolve().parents[2]
NEIGHBOUR = ROOT.parent / "shared" / "flame-docs"
STAGED = ROOT / "build" / "flame-docs"
# What the docs are made of: pages, and the Dart sources that they quote.
SUFFIXES = {".md", ".dart"}
PARTS = ("doc", "packages", "CONTRIBUTING.md", "LICENSE")


class DocsError(Exception):
    """`FLAME_DOCS` names nothing usable; the message says what it should name."""


def folder() -> Path | None:
    """The folder with the docs, or None when they come from git.

    Raises:
        DocsError: `FLAME_DOCS` looks like a folder but holds no `doc/`.
    """
    named = os.environ.get("FLAME_DOCS", "")
    if not named:
        return NEIGHBOUR if (NEIGHBOUR / "doc").is_dir() else None
    if "://" in named or named.endswith(".git"):
        return None
    path = Path(named).expanduser()
    if not (path / "doc").is_dir():
        raise DocsError(f"FLAME_DOCS={named} is no checkout of Flame: there is no folder {path / 'doc'}")
    return path


def build_args() -> dict[str, str]:
    """The arguments of `docker build` for docs that come from git; none when a folder was staged."""
    if folder():
        return {}
    named = os.environ.get("FLAME_DOCS", "")
    if not named:
        return {"FLAME_DOCS": REPOSITORY, "FLAME_DOCS_REF": REF}
    return {"FLAME_DOCS": named, "FLAME_DOCS_REF": os.environ.get("FLAME_DOCS_REF") or "HEAD"}


def _files(root: Path) -> list[Path]:
    """What of a checkout the docs need, relative to it and sorted."""
    found = []
    for part in PARTS:
        top = root / part
        files = (
            [top] if top.is_file() else [f for f in top.rglob("*") if f.is_file() and f.suffix in SUFFIXES]
        )
        found += [f.relative_to(root) for f in files]
    return sorted(found)


def fingerprint() -> str:
    """A hash of the docs: of every page in a folder, or of the repository's address and ref."""
    digest = hashlib.sha256(repr(sorted(build_args().items())).encode())
    root = folder()
    for file in _files(root) if root else []:
        digest.update(f"{file}\0".encode())
        digest.update((root / file).read_bytes() if root else b"")
    return digest.hexdigest()


def stage() -> None:
    """Put the docs where the Dockerfile's COPY finds them, or clear that place when they come from git."""
    root = folder()
    if root and root.resolve() == STAGED.resolve():
        return
    shutil.rmtree(STAGED, ignore_errors=True)
    for file in _files(root) if root else []:
        target = STAGED / file
        target.parent.mkdir(parents=True, exist_ok=True)
        # Contents only: the source's modes may be read-only.
        shutil.copyfile(root / file if root else file, target)
