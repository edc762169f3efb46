"""Taking, listing and downloading snapshots of an index in a Qdrant server."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flame_server.commands.main import main
from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.publishing.publish import publish_index
from flame_server.publishing.restore import restore_file
from flame_server.publishing.snapshots import list_snapshots, take_snapshot
from flame_server.qdrant.connection import QdrantTarget
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.qdrant_server import KEY, READ_KEY
from tests.support.server.small_docs import quiet
from tests.support.server.snapshots import ALIAS, another, meant


def test_the_newest_of_all_generations_are_kept(
    small_docs: Path, tmp_path: Path, target: QdrantTarget
) -> None:
    first = another(small_docs, tmp_path / "index", target, "1")
    taken = [take_snapshot(target, 3, quiet) for _ in range(2)]
    second = another(small_docs, tmp_path / "index", target, "2")
    taken += [take_snapshot(target, 3, quiet) for _ in range(2)]
    assert [one.snapshot.collection for one in taken] == [first, first, second, second]
    assert [len(one.removed) for one in taken] == [0, 0, 0, 1]
    assert taken[3].removed[0] == taken[0].snapshot
    assert {one.name for one in list_snapshots(target, quiet)} == {one.snapshot.name for one in taken[1:]}
    only = take_snapshot(target, 1, quiet)
    assert len(only.removed) == 3
    assert list(list_snapshots(target, quiet)) == [only.snapshot]


def test_another_alias_that_begins_alike_keeps_its_own(lexical_index: Path, target: QdrantTarget) -> None:
    other = replace(target, collection=f"{ALIAS}__eu")
    for one in (target, other):
        publish_index(lexical_index, one, quiet)
    theirs = take_snapshot(other, 1, quiet).snapshot
    take_snapshot(target, 1, quiet)
    take_snapshot(target, 1, quiet)
    assert list(list_snapshots(other, quiet)) == [theirs]
    assert len(list_snapshots(target, quiet)) == 1


def test_a_copy_that_arrives_damaged_is_no_file_and_removes_nothing(
    lexical_index: Path,
    tmp_path: Path,
    served: tuple[QdrantStandIn, QdrantTarget],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in, target = served
    publish_index(lexical_index, target, quiet)
    take_snapshot(target, 1, quiet)
    (tmp_path / "other").write_text("something else")
    monkeypatch.setattr(stand_in._snapshots, "file", lambda *_: tmp_path / "other")
    with pytest.raises(UnavailableError, match="was damaged on the way"):
        take_snapshot(target, 1, quiet, tmp_path / "copies")
    assert not list((tmp_path / "copies").iterdir())
    assert len(list_snapshots(target, quiet)) == 2


def test_a_key_that_only_reads_is_refused_in_clear_words(
    lexical_index: Path, tmp_path: Path, target: QdrantTarget
) -> None:
    publish_index(lexical_index, target, quiet)
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file
    reader = replace(target, api_key=READ_KEY)
    assert len(list_snapshots(reader, quiet)) == 1
    for work in (lambda: take_snapshot(reader, 1, quiet), lambda: restore_file(reader, file, quiet)):
        with pytest.raises(UnavailableError, match=r"HTTP 403: .*one that may only read is not") as raised:
            work()
        assert raised.value.kind == "user"


def test_a_full_volume_is_said(
    lexical_index: Path,
    tmp_path: Path,
    served: tuple[QdrantStandIn, QdrantTarget],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flame_server.qdrant.retries.RETRY_SECONDS", 0.0)
    stand_in, target = served
    publish_index(lexical_index, target, quiet)
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file
    stand_in.failing_writes = 500
    for work in (lambda: take_snapshot(target, 1, quiet), lambda: restore_file(target, file, quiet)):
        with pytest.raises(UnavailableError, match="HTTP 500: its volume is full: enlarge it") as raised:
            work()
        assert raised.value.kind == "world"


def test_nothing_behind_the_alias_is_said(target: QdrantTarget) -> None:
    with pytest.raises(FlameMcpError, match="publish an index first"):
        take_snapshot(target, 1, quiet)
    assert not list_snapshots(target, quiet)


def test_the_commands(
    lexical_index: Path, tmp_path: Path, folder: Path, served: tuple[QdrantStandIn, QdrantTarget]
) -> None:
    stand_in, target = served
    (tmp_path / "key").write_text(KEY)
    publish_index(lexical_index, target, quiet)

    def run(*arguments: str) -> Result:
        variables = {
            "FLAME_MCP_QDRANT_API_KEY_FILE": str(tmp_path / "key"),
            "FLAME_MCP_QDRANT_URL": target.url,
            "FLAME_MCP_RESULT_FILE": str(tmp_path / "result"),
        }
        return CliRunner().invoke(main, ["index", *arguments], env=variables, catch_exceptions=False)

    assert run("snapshots").stdout == "there are none\n"
    taken = run("snapshot", "--keep", "1", "--download", str(tmp_path / "copies"))
    assert taken.exit_code == 0
    file = taken.stdout.strip()
    result = json.loads((tmp_path / "result").read_text())
    assert (result["step"], result["snapshot"], result["removed"]) == ("snapshot", Path(file).name, 0)
    assert "collection" not in result  # which would be taken for what is searched
    (listed,) = json.loads(run("snapshots", "--json").stdout)
    assert (listed["name"], listed["collection"]) == (Path(file).name, meant(stand_in)[ALIAS])
    assert listed["name"] in run("snapshots").stdout
    restored = run("restore", "--snapshot", listed["name"], "--server-folder", str(folder))
    assert restored.stdout == f"restored {meant(stand_in)[ALIAS]} as {ALIAS}\n"
    assert run("restore", "--file", file).exit_code == 0
    assert json.loads((tmp_path / "result").read_text())["chunks"] == 4
    assert run("restore").exit_code == 2
    missing = run("restore", "--snapshot", "none.snapshot")
    assert (missing.exit_code, listed["name"] in missing.stderr) == (1, True)
