"""Snapshots of an index in a Qdrant server: taken, thinned out, carried elsewhere and brought back."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flame_server.commands.main import main
from flame_server.embedding.identity import NO_EMBEDDING
from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.index.build import build_index
from flame_server.publishing import restore
from flame_server.publishing.publish import publish_index, roll_back
from flame_server.publishing.restore import restore_file, restore_kept
from flame_server.publishing.snapshots import list_snapshots, take_snapshot
from flame_server.qdrant import generations
from flame_server.qdrant.connection import METADATA, QdrantTarget, connect
from flame_server.search.qdrant import QdrantSearcher
from tests.flame_server.asgi import Clock
from tests.flame_server.conftest import quiet
from tests.flame_server.qdrant_server import KEY, READ_KEY, qdrant_served
from tests.qdrant_standin.app import QdrantStandIn

ALIAS = "flame-docs"


@contextmanager
def serving(folder: Path) -> Iterator[tuple[QdrantStandIn, QdrantTarget]]:
    """A server that keeps its snapshots below a folder."""
    with qdrant_served(KEY, snapshots=folder) as server:
        yield server, QdrantTarget(server.url, ALIAS, KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "server"


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[QdrantStandIn, QdrantTarget]]:
    with serving(folder) as found:
        yield found


@pytest.fixture
def target(served: tuple[QdrantStandIn, QdrantTarget]) -> QdrantTarget:
    return served[1]


def answers(target: QdrantTarget) -> list[Any]:
    """What a search gives, behind the alias."""

    async def ask() -> list[Any]:
        searcher = QdrantSearcher(target, NO_EMBEDDING, None, len, lambda _: None, Clock())
        try:
            return [(await searcher.answer(query, 3)).found for query in ("viewport", "sound delayed")]
        finally:
            await searcher.close()

    return asyncio.run(ask())


def meant(stand_in: QdrantStandIn) -> dict[str, str]:
    return {one.alias_name: one.collection_name for one in stand_in.engine.get_aliases().aliases}


def collections(stand_in: QdrantStandIn) -> set[str]:
    return {one.name for one in stand_in.engine.get_collections().collections}


def another(docs: Path, index: Path, target: QdrantTarget, version: str) -> str:
    """Publishes an index of another version; returns its collection."""
    build_index(str(docs), index, embedding="none", version=version, report=quiet)
    return publish_index(index, target, quiet).collection


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


def test_a_download_restores_on_a_fresh_server_and_answers_alike(
    local_index: Path, tmp_path: Path, target: QdrantTarget
) -> None:
    publish_index(local_index, target, quiet)
    taken = take_snapshot(target, 7, quiet, tmp_path / "copies")
    assert taken.file == tmp_path / "copies" / taken.snapshot.name
    assert [one.name for one in (tmp_path / "copies").iterdir()] == [taken.snapshot.name]
    with serving(tmp_path / "fresh") as (fresh, there):
        found = restore_file(there, taken.file, quiet)
        assert meant(fresh) == {ALIAS: found.collection}
        assert found.collection.startswith(f"{ALIAS}__restored-")
        assert (found.previous, found.as_result()["chunks"]) == (None, 4)
        assert points(fresh, found.collection) == points_at(target)
        # The uploaded file does not count as a snapshot.
        assert not list_snapshots(there, quiet)


def points(stand_in: QdrantStandIn, collection: str) -> list[Any]:
    return [
        point.model_dump() for point in stand_in.engine.scroll(collection, limit=100, with_vectors=True)[0]
    ]


def points_at(target: QdrantTarget) -> list[Any]:
    async def scrolled() -> list[Any]:
        client = connect(target, 5)
        found, _ = await client.scroll(target.collection, limit=100, with_vectors=True)
        await client.close()
        return [point.model_dump() for point in found]

    return asyncio.run(scrolled())


def test_searches_answer_alike_after_a_restore(
    lexical_index: Path, tmp_path: Path, target: QdrantTarget
) -> None:
    publish_index(lexical_index, target, quiet)
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file
    with serving(tmp_path / "fresh") as (_, there):
        restore_file(there, file, quiet)
        assert answers(there) == answers(target)


def test_a_restored_index_is_a_generation_like_others(
    small_docs: Path, folder: Path, tmp_path: Path, served: tuple[QdrantStandIn, QdrantTarget]
) -> None:
    stand_in, target = served
    first = another(small_docs, tmp_path / "index", target, "1")
    name = take_snapshot(target, 7, quiet).snapshot.name
    second = another(small_docs, tmp_path / "index", target, "2")
    found = restore_kept(target, name, quiet, PurePosixPath(folder))
    assert (found.previous, found.manifest.versions[0].version) == (second, "1")
    assert meant(stand_in) == {ALIAS: found.collection}
    third = another(small_docs, tmp_path / "index", target, "3")
    assert collections(stand_in) == {found.collection, third}
    assert roll_back(target, quiet).collection == found.collection
    # Its file has outlived the first collection, though nobody lists it.
    assert first not in collections(stand_in)
    with pytest.raises(FlameMcpError, match=r"lists no snapshot .* it has none at all"):
        restore_kept(target, name, quiet, PurePosixPath(folder))
    assert restore_kept(target, f"{first}/{name}", quiet, PurePosixPath(folder)).previous == found.collection


def test_a_snapshot_of_another_alias_becomes_ours(
    lexical_index: Path, tmp_path: Path, served: tuple[QdrantStandIn, QdrantTarget]
) -> None:
    stand_in, target = served
    publish_index(lexical_index, target, quiet)
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file
    found = restore_file(replace(target, collection="copy"), file, quiet)
    kept = (stand_in.engine.get_collection(found.collection).config.metadata or {})[METADATA]
    assert (kept["alias"], set(kept)) == ("copy", {"alias", "manifest", "groups"})
    assert answers(replace(target, collection="copy")) == answers(target)


def cut(kept: dict[str, Any]) -> None:
    kept["points"].pop()


def emptied(kept: dict[str, Any]) -> None:
    kept["points"].clear()


def without_manifest(kept: dict[str, Any]) -> None:
    del kept["config"]["metadata"][METADATA]["manifest"]


def somebody_elses(kept: dict[str, Any]) -> None:
    kept["config"]["metadata"] = None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "holds 3 chunks, not the 4 of its manifest"),
        (emptied, "holds 0 chunks, not the 4"),
        (without_manifest, "has format None, this release reads"),
        (somebody_elses, "holds no index of this server"),
    ],
)
def test_what_is_no_complete_index_is_refused_and_the_alias_stays(
    lexical_index: Path,
    tmp_path: Path,
    served: tuple[QdrantStandIn, QdrantTarget],
    damage: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    stand_in, target = served
    before = publish_index(lexical_index, target, quiet).collection
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file
    kept = json.loads(file.read_text())
    damage(kept)
    file.write_text(json.dumps(kept))
    with pytest.raises(FlameMcpError, match=message) as raised:
        restore_file(target, file, quiet)
    assert raised.value.kind == "user"
    assert meant(stand_in) == {ALIAS: before}
    assert collections(stand_in) == {before}


def test_a_damaged_file_is_refused(
    lexical_index: Path, tmp_path: Path, folder: Path, served: tuple[QdrantStandIn, QdrantTarget]
) -> None:
    stand_in, target = served
    before = publish_index(lexical_index, target, quiet).collection
    taken = take_snapshot(target, 1, quiet, tmp_path)
    assert taken.file
    taken.file.write_bytes(taken.file.read_bytes()[:-100])
    with pytest.raises(FlameMcpError, match=r"doesn't take .*: Wrong input: failed to unpack.*It is damaged"):
        restore_file(target, taken.file, quiet)
    with pytest.raises(FlameMcpError, match="there is no snapshot /no/file"):
        restore_file(target, Path("/no/file"), quiet)
    listed = taken.snapshot
    with pytest.raises(FlameMcpError, match=r"Snapshot file .* does not exist"):
        restore_kept(target, f"gone/{listed.name}", quiet, PurePosixPath(folder))
    with pytest.raises(FlameMcpError, match="is no name of a snapshot"):
        restore_kept(target, f"../{listed.name}", quiet, PurePosixPath(folder))
    assert (meant(stand_in), collections(stand_in)) == ({ALIAS: before}, {before})


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
    with pytest.raises(UnavailableError, match="has arrived damaged"):
        take_snapshot(target, 1, quiet, tmp_path / "copies")
    assert not list((tmp_path / "copies").iterdir())
    assert len(list_snapshots(target, quiet)) == 2


def test_an_alias_that_cannot_be_moved_leaves_no_collection(
    lexical_index: Path,
    tmp_path: Path,
    served: tuple[QdrantStandIn, QdrantTarget],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in, target = served
    before = publish_index(lexical_index, target, quiet).collection
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file

    async def refused(*_: object, **__: object) -> None:
        raise UnavailableError("no")

    monkeypatch.setattr("flame_server.publishing.restore.move_alias", refused)
    with pytest.raises(UnavailableError, match=r"^no$"):
        restore_file(target, file, quiet)
    assert (meant(stand_in), collections(stand_in)) == ({ALIAS: before}, {before})


def test_an_alias_that_has_moved_though_nobody_heard_of_it_keeps_its_collection(
    lexical_index: Path,
    tmp_path: Path,
    served: tuple[QdrantStandIn, QdrantTarget],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in, target = served
    before = publish_index(lexical_index, target, quiet).collection
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file
    move = generations.move_alias

    async def unheard(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever it is given
        await move(*args, **kwargs)
        raise UnavailableError("no answer")

    monkeypatch.setattr(restore, "move_alias", unheard)
    with pytest.raises(UnavailableError, match="no answer"):
        restore_file(target, file, quiet)
    assert meant(stand_in)[ALIAS] in collections(stand_in) - {before}


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
