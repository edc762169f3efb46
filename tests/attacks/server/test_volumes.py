"""Attack 13: who writes to a volume swaps a page for a link while it is read."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flame_server.docs.folder import Tree
from flame_server.errors import FlameMcpError
from flame_server.sources import volume

SECONDS = 2.0
SECRET = "the key of another container"  # noqa: S105 - what must not be read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "page.md").write_text(SECRET)
    found = tmp_path / "volume"
    (found / "docs" / "guide").mkdir(parents=True)
    (found / "docs" / "guide" / "page.md").write_text("# Page\n\nText.\n")
    (found / "docs" / "other.md").write_text("# Other\n\n```{include} guide/page.md\n```\n")
    return found


@contextmanager
def swapping(swap: Callable[[], None]) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            swap()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def swaps(root: Path, kind: str) -> Callable[[], None]:
    """A page, or its folder, is now itself and now a link that leads outside."""
    page, spare = root / "docs" / "guide" / "page.md", root / "spare"
    if kind == "page":

        def swap() -> None:
            spare.symlink_to(root.parent / "keys" / "page.md")
            spare.replace(page)
            spare.write_text("# Page\n\nText.\n")
            spare.replace(page)

    else:

        def swap() -> None:
            (root / "docs" / "guide").rename(spare)
            (root / "docs" / "guide").symlink_to(root.parent / "keys")
            (root / "docs" / "guide").unlink()
            spare.rename(root / "docs" / "guide")

    return swap


@pytest.mark.parametrize("kind", ["page", "folder"])
def test_pages_that_are_swapped_for_links_while_they_are_read(root: Path, kind: str) -> None:
    """Attack 13: a foreign file was read after 5 passes, in 20 ms. Thousands of passes read none."""
    passes = good = 0
    until = time.monotonic() + SECONDS
    with swapping(swaps(root, kind)):
        while time.monotonic() < until:
            passes += 1
            for page in Tree(root, root / "docs").pages():
                assert SECRET not in page.text
                good += "Text." in page.text
    assert passes > 50
    assert good


@pytest.mark.parametrize("kind", ["page", "folder"])
def test_a_copy_of_what_is_swapped(root: Path, tmp_path: Path, kind: str) -> None:
    """Attack 13, at the copy that the container without keys makes."""
    passes, until = 0, time.monotonic() + SECONDS
    with swapping(swaps(root, kind)):
        while time.monotonic() < until:
            passes += 1
            copy = tmp_path / f"copy-{passes}"
            volume.copy(root, "docs", copy, lambda _: None)
            assert SECRET not in "".join(path.read_text() for path in copy.rglob("*.md"))
    assert passes > 20


def test_links_of_every_kind_stay_inside(root: Path, tmp_path: Path) -> None:
    """The kind of attack 13: absolute, upwards, through a folder, in a circle; pipes do not block."""
    docs = root / "docs"
    (docs / "absolute.md").symlink_to(tmp_path / "keys" / "page.md")
    (docs / "up.md").symlink_to("../../keys/page.md")
    (docs / "keys").symlink_to("../../keys")
    (docs / "through.md").symlink_to("keys/page.md")
    (docs / "there-and-back.md").symlink_to(f"../../{root.name}/docs/guide/page.md")
    (docs / "circle.md").symlink_to("circle.md")
    (docs / "zero.md").symlink_to("/dev/zero")
    (docs / "include.md").write_text(
        "```{include} ../../keys/page.md\n```\n\n```{include} keys/page.md\n```\n"
    )
    (docs / "slash.md").write_text(f"```{{include}} {tmp_path}/keys/page.md\n```\n")
    os.mkfifo(docs / "pipe.md")
    texts = [page.text for page in Tree(root, docs).pages()]
    volume.copy(root, None, tmp_path / "copy", lambda _: None)
    texts += [path.read_text() for path in (tmp_path / "copy").rglob("*.md")]
    assert not [text for text in texts if SECRET in text]
    assert not (tmp_path / "copy" / "docs" / "pipe.md").exists()


def test_links_inside_are_followed(root: Path, tmp_path: Path) -> None:
    """No attack: links of a ConfigMap, of git-sync, and absolute ones to the volume itself."""
    (root / ".trees" / "abc" / "doc").mkdir(parents=True)
    (root / ".trees" / "abc" / "doc" / "page.md").write_text("# Hidden\n")
    (root / ".trees" / "abc" / "beside.md").write_text("# Beside\n")
    (root / "current").symlink_to(".trees/abc")
    (root / "inside.md").symlink_to(root / "docs" / "other.md")
    found = volume.copy(root, "current/doc", tmp_path / "copy", lambda _: None)
    assert found.path == ".trees/abc/doc"
    assert (tmp_path / "copy" / found.path / "page.md").read_text() == "# Hidden\n"
    assert (tmp_path / "copy" / ".trees" / "abc" / "beside.md").exists()
    assert (tmp_path / "copy" / "inside.md").read_text().startswith("# Other")


def test_a_file_that_grows_while_it_is_read(root: Path, tmp_path: Path) -> None:
    """The kind of attack 13: the size is that of the open file, and no more than the bound is read."""
    with (root / "docs" / "large.md").open("wb") as file:
        file.truncate(50_000_000_000)
    said: list[str] = []
    volume.copy(root, "docs", tmp_path / "copy", said.append)
    assert not (tmp_path / "copy" / "docs" / "large.md").exists()
    assert said == ["docs/large.md: left out: it has 50000.0 MB; the limit is 2.1 MB a page"]


def test_a_volume_that_is_too_large_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume, "MAX_FILES", 1)
    with pytest.raises(FlameMcpError, match="more than 1 files"):
        volume.copy(root, "docs", tmp_path / "copy", lambda _: None)
