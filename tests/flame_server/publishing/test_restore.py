"""Restoring snapshots of an index into a Qdrant server."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.publishing import restore
from flame_server.publishing.publish import publish_index, roll_back
from flame_server.publishing.restore import restore_file, restore_kept
from flame_server.publishing.snapshots import list_snapshots, take_snapshot
from flame_server.qdrant import generations
from flame_server.qdrant.connection import COMMAND_BOUNDS, METADATA, QdrantTarget, connect
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.small_docs import quiet
from tests.support.server.snapshots import ALIAS, another, answers, collections, meant, serving


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
        client = connect(target, 5, COMMAND_BOUNDS)
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


def test_peers_of_a_cluster_agree_on_the_restored_copy_before_it_is_counted(
    lexical_index: Path, tmp_path: Path, target: QdrantTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One peer restores it. Until the others know, they count their own copies, which are empty."""
    monkeypatch.setattr(restore, "LOOK_SECONDS", 0.0)
    publish_index(lexical_index, target, quiet)
    file = take_snapshot(target, 1, quiet, tmp_path).file
    assert file
    with serving(tmp_path / "fresh") as (fresh, there):
        for _ in range(3):
            fresh.peers.join()
        found = restore_file(there, file, quiet)
        assert meant(fresh) == {ALIAS: found.collection}
        monkeypatch.setattr(restore, "SETTLE_SECONDS", 0.0)
        with pytest.raises(FlameMcpError, match="holds 0 chunks"):
            restore_file(there, file, quiet)
        assert meant(fresh) == {ALIAS: found.collection}


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
    assert (kept["alias"], set(kept)) == ("copy", {"alias", "manifest", "groups", "owner"})
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
    with pytest.raises(FlameMcpError, match=r"does not accept .*: Wrong input: failed to unpack.*is damaged"):
        restore_file(target, taken.file, quiet)
    with pytest.raises(FlameMcpError, match="there is no snapshot /no/file"):
        restore_file(target, Path("/no/file"), quiet)
    listed = taken.snapshot
    with pytest.raises(FlameMcpError, match=r"Snapshot file .* does not exist"):
        restore_kept(target, f"gone/{listed.name}", quiet, PurePosixPath(folder))
    with pytest.raises(FlameMcpError, match="is not the name of a snapshot"):
        restore_kept(target, f"../{listed.name}", quiet, PurePosixPath(folder))
    assert (meant(stand_in), collections(stand_in)) == ({ALIAS: before}, {before})


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
