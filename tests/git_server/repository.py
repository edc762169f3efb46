"""A repository with a working tree, and the commits that tests make in it."""

import os
import shutil
from pathlib import Path

from dulwich import porcelain
from dulwich.objects import Commit
from dulwich.refs import Ref
from dulwich.repo import Repo

_AUTHOR = b"Test <test@example.com>"


def create(docs: Path, folder: Path) -> None:
    """Makes a repository of the docs, with a first commit on `main`."""
    shutil.copytree(docs, folder, dirs_exist_ok=True)
    porcelain.init(str(folder))
    with Repo(str(folder)) as repository:
        repository.refs.set_symbolic_ref(Ref(b"HEAD"), Ref(b"refs/heads/main"))
    commit(folder, "the docs")


def change(folder: Path, page: str, text: str) -> str:
    """Writes a page; returns the commit."""
    path = folder / "doc" / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return commit(folder, f"change {page}")


def delete_all_pages(folder: Path) -> str:
    """Leaves no page; returns the commit."""
    for page in (folder / "doc").rglob("*.md"):
        page.unlink()
    (folder / "doc" / "conf.py").write_text("# all pages are gone\n")
    return commit(folder, "all pages are gone")


def revert(folder: Path) -> str:
    """Goes back to the commit before, and returns it."""
    with Repo(str(folder)) as repository:
        head = repository[repository.head()]
        assert isinstance(head, Commit)
        (before,) = head.parents
    porcelain.reset(str(folder), "hard", before)
    return str(before.decode())


def commit(folder: Path, message: str) -> str:
    """Commits all that has changed, deletions included."""
    with Repo(str(folder)) as repository:
        status = porcelain.status(repository)
        changed = [os.fsdecode(name) for name in (*status.unstaged, *status.untracked)]
        here = [str(folder / name) for name in changed if (folder / name).exists()]
        gone = [str(folder / name) for name in changed if not (folder / name).exists()]
        if here:
            porcelain.add(repository, paths=here)
        if gone:
            porcelain.remove(repository, paths=gone)
        made = porcelain.commit(
            repository, message=message.encode(), author=_AUTHOR, committer=_AUTHOR, sign=False
        )
    return made.decode()
