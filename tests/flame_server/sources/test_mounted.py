"""Docs that are mounted: a ConfigMap or a volume, whose content is its tenant's."""

import json
import os
from pathlib import Path

import pytest

from flame_server.errors import FlameMcpError
from flame_server.sources.fetch import Fetched, fetch, read_fetched, read_sources
from tests.support.server.small_docs import quiet


def fetched(tmp_path: Path, path: str | None = None) -> Fetched:
    member = {"path": path} if path else {}
    sources = read_sources(json.dumps([{"name": "vol", "persistentVolumeClaim": member}]))
    fetch(sources, tmp_path / "out", tmp_path / "mounts", tmp_path / "none", quiet)
    (found,) = read_fetched(tmp_path / "out")
    return found


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "mounts" / "vol"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.md").write_text("# A\n")
    return folder


def test_the_revision_is_that_of_the_files(volume: Path, tmp_path: Path) -> None:
    first = fetched(tmp_path, "docs")
    assert fetched(tmp_path, "docs") == first
    (volume / "docs" / "a.md").write_text("# B\n")
    second = fetched(tmp_path, "docs")
    (volume / "docs" / "a.md").rename(volume / "docs" / "b.md")
    third = fetched(tmp_path, "docs")
    assert len({first.revision, second.revision, third.revision}) == 3


def test_a_config_map_is_read_through_its_links(volume: Path, tmp_path: Path) -> None:
    """As the kubelet mounts it: hidden folders, and links to what is in them."""
    (volume / "..2026_11").mkdir()
    (volume / "..2026_11" / "page.md").write_text("# Page\n")
    (volume / "..data").symlink_to("..2026_11")
    (volume / "page.md").symlink_to("..data/page.md")
    before = fetched(tmp_path)
    (volume / "..2026_11" / "page.md").write_text("# Other\n")
    assert fetched(tmp_path).revision != before.revision


@pytest.mark.parametrize("path", ["..", "../../..", "/", "/etc", "docs/../../other", "out"])
def test_a_path_stays_in_the_volume(volume: Path, tmp_path: Path, path: str) -> None:
    (volume / "out").symlink_to("/etc")
    with pytest.raises(FlameMcpError, match=r"source vol: path .* leads outside the volume") as raised:
        fetched(tmp_path, path)
    assert raised.value.kind == "user"


def test_a_folder_that_is_missing_is_said(volume: Path, tmp_path: Path) -> None:
    assert volume.is_dir()
    with pytest.raises(FlameMcpError, match="source vol: the volume has no folder guide"):
        fetched(tmp_path, "guide")


def test_odd_files_are_no_reason_to_fail(volume: Path, tmp_path: Path) -> None:
    os.mkfifo(volume / "docs" / "pipe.md")
    (volume / "docs" / "loop.md").symlink_to("loop.md")
    (volume / "docs" / "gone.md").symlink_to("nowhere.md")
    (volume / "docs" / os.fsdecode(b"caf\xe9.md")).write_text("# A name that is no UTF-8\n")
    assert fetched(tmp_path, "docs").revision.startswith("sha256:")


def test_what_a_link_leads_to_outside_is_not_looked_at(volume: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one")
    (volume / "docs" / "link.md").symlink_to(secret)
    before = fetched(tmp_path, "docs")
    secret.write_text("two")
    assert fetched(tmp_path, "docs") == before


def test_what_an_attempt_before_has_left_is_gone(volume: Path, tmp_path: Path) -> None:
    assert volume.is_dir()
    (tmp_path / "out" / "vol").mkdir(parents=True)
    (tmp_path / "out" / "vol" / "half.md").write_text("half")
    fetched(tmp_path)
    assert [path.name for path in (tmp_path / "out" / "vol").iterdir()] == ["docs"]


def test_a_folder_that_cannot_be_written_is_said(volume: Path, tmp_path: Path) -> None:
    assert volume.is_dir()
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FlameMcpError, match="cannot be written"):
        fetched(tmp_path)
