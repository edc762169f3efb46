"""Names that a git server or Qdrant chooses, on their way into a Job's log and its last message."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from flame_server.commands import common, outcome
from flame_server.commands.index.snapshots import snapshots as list_them
from flame_server.errors import FlameMcpError
from flame_server.publishing import snapshots
from flame_server.publishing.snapshots import Snapshot
from flame_server.qdrant.connection import QdrantTarget
from flame_server.sources import git

EVIL = "docs__1\n2026-12-01 INFO done\r\x1b[2J\x1b]0;title\x07\u202eedoc\u2028x\x85y\ud800" + "x" * 200_000


def refused(error: Exception) -> Callable[[], None]:
    def work() -> NoReturn:
        raise error

    return work


WAYS: dict[str, Callable[[], None]] = {
    "report": lambda: common.report(f"took {EVIL}, 5 bytes"),
    "plain error": common.plain_errors(refused(FlameMcpError(EVIL))),
    "step": lambda: outcome.run("publish", refused(FlameMcpError(EVIL))),
    "told": lambda: common.tell(f"published {EVIL} as docs"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_name_with_lines_of_its_own(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It wrote lines of its own, sent commands to terminals, and took 200 kB of a log each time."""
    result = tmp_path / "result"
    monkeypatch.setenv(outcome.RESULT_FILE, str(result))
    try:
        WAYS[way]()
    except SystemExit as ended:
        assert ended.code == 1  # noqa: PT017 - some ways end the process
    written = "".join(capsys.readouterr())
    assert written.count("\n") == 1
    assert written[:-1].isprintable()
    assert len(written.encode()) < 5000
    if result.exists():
        assert json.loads(result.read_text())["error"]["message"].isprintable()


def test_snapshots_of_a_qdrant_that_names_them_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Snapshot("docs__1", EVIL, EVIL, 5)
    monkeypatch.setattr(snapshots, "list_snapshots", lambda *_: [found])
    with pytest.raises(SystemExit):
        list_them(["--qdrant", "http://q:6333", "--collection", "docs"])
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert written[:-1].isprintable()


def test_refs_of_a_git_server_that_names_them_so() -> None:
    """A message with five names of 64 kB each."""
    refs: Any = {f"refs/heads/{number}{EVIL}".encode(errors="replace"): b"a" * 40 for number in range(9)}
    with pytest.raises(FlameMcpError) as error:
        git._chosen(refs, "main", "https://git.example.com/docs")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000
    assert "it has 0docs__1" in str(error.value)


@pytest.mark.parametrize("name", ["a\0b", "..", ".", "", "a/b", "a" * 300, "a\nb"])
def test_a_snapshot_whose_name_is_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a NUL ended in a traceback."""

    async def received(_: QdrantTarget, __: Snapshot, part: Path) -> str:
        await asyncio.to_thread(part.write_bytes, b"data")
        return "0"

    monkeypatch.setattr(snapshots, "_received", received)
    told, target = Snapshot("docs__1", name, "", 5), QdrantTarget("http://qdrant:6333", "docs")
    with pytest.raises(FlameMcpError):
        asyncio.run(snapshots._download(target, told, tmp_path, common.report))
    assert list(tmp_path.iterdir()) == []
