"""A Qdrant that several use: nobody moves an alias of somebody else, or removes what is theirs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from qdrant_client import models

from flame_server.commands.main import main
from flame_server.errors import FlameMcpError
from flame_server.index.build import build_index
from flame_server.publishing import publish
from flame_server.publishing.checks import find_problem
from flame_server.publishing.owners import NOBODY, Owner
from flame_server.publishing.publish import publish_index, roll_back
from flame_server.publishing.restore import restore_file
from flame_server.publishing.snapshots import take_snapshot
from flame_server.qdrant.connection import METADATA, QdrantTarget
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.qdrant_server import KEY, qdrant_served
from tests.support.server.small_docs import quiet

ONE, TWO = Owner("team-1/docs@uid-1"), Owner("team-2/docs@uid-2")


@pytest.fixture
def server() -> Iterator[QdrantStandIn]:
    with qdrant_served(KEY) as found:
        yield found


@pytest.fixture
def target(server: QdrantStandIn) -> QdrantTarget:
    return QdrantTarget(server.url, "flame-docs", KEY)


def built(folder: Path, text: str) -> Path:
    docs = folder / "docs"
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "page.md").write_text(f"# Page\n\nAbout the {text}.\n")
    build_index(str(docs), folder / "index", embedding="none", report=quiet)
    return folder / "index"


def collections(server: QdrantStandIn) -> set[str]:
    return {one.name for one in server.engine.get_collections().collections}


def meant(server: QdrantStandIn) -> str | None:
    return next((one.collection_name for one in server.engine.get_aliases().aliases), None)


def owner(server: QdrantStandIn) -> Any:  # noqa: ANN401 - what is written there
    metadata = server.engine.get_collection(meant(server) or "").config.metadata or {}
    return metadata[METADATA].get("owner")


@pytest.mark.parametrize("other", [TWO, NOBODY], ids=["resource", "nobody"])
def test_the_alias_of_another_owner_stays(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path, other: Owner
) -> None:
    first = publish_index(built(tmp_path, "team"), target, quiet, owner=ONE).collection
    second = publish_index(built(tmp_path, "first team"), target, quiet, owner=ONE).collection
    theirs = built(tmp_path, "other team")
    with pytest.raises(FlameMcpError, match=r"belongs to (\S+), .* --take-over \1\)") as told:
        publish_index(theirs, target, quiet, owner=other)
    assert told.value.kind == "user"
    with pytest.raises(FlameMcpError, match="belongs to team-1/docs@uid-1"):
        roll_back(target, quiet, other)
    assert (meant(server), owner(server)) == (second, ONE.name)
    assert collections(server) == {first, second}


def test_a_collection_without_an_owner_is_adopted(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    first = publish_index(built(tmp_path, "team"), target, quiet).collection
    told: list[str] = []
    # The same content isn't loaded again, and still gets its owner.
    assert publish_index(built(tmp_path, "team"), target, told.append, owner=ONE).collection == first
    assert "flame-docs belonged to nobody and belongs to team-1/docs@uid-1 now" in told
    assert owner(server) == ONE.name
    with pytest.raises(FlameMcpError, match="belongs to team-1"):
        publish_index(built(tmp_path, "other"), target, quiet, owner=TWO)


def test_taking_over_takes_the_owners_name_and_stays_harmless(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    publish_index(built(tmp_path, "team"), target, quiet, owner=ONE)
    with pytest.raises(FlameMcpError, match="belongs to team-1"):
        publish_index(built(tmp_path, "other"), target, quiet, owner=Owner(TWO.name, take_over="team-3/docs"))
    taking = Owner(TWO.name, take_over=ONE.name)
    taken = publish_index(built(tmp_path, "other"), target, quiet, owner=taking).collection
    assert (meant(server), owner(server)) == (taken, TWO.name)
    # The one before has no word that names the new owner, so it doesn't take the alias back.
    with pytest.raises(FlameMcpError, match="belongs to team-2"):
        publish_index(built(tmp_path, "team"), target, quiet, owner=Owner(ONE.name, take_over=ONE.name))
    # What was the other's before goes with the next loads.
    for text in ("third", "fourth"):
        publish_index(built(tmp_path, text), target, quiet, owner=taking)
    assert len(collections(server)) == 2


def test_an_alias_that_others_take_during_a_load_stays_theirs(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    theirs, ours = built(tmp_path / "theirs", "first"), built(tmp_path, "second")

    async def overtaken(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - whatever it is given
        monkeypatch.setattr(publish, "find_problem", find_problem)
        done = await asyncio.to_thread(publish_index, theirs, target, quiet, owner=ONE)
        taken.append(done.collection)
        return await find_problem(*args, **kwargs)

    taken: list[str] = []
    monkeypatch.setattr(publish, "find_problem", overtaken)
    with pytest.raises(FlameMcpError, match="belongs to team-1"):
        publish_index(ours, target, quiet, owner=TWO)
    assert [meant(server)] == taken
    assert collections(server) == set(taken)


def test_what_others_have_left_at_an_alias_is_not_removed(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    """The same build of two owners has the same name, and an alias may have been removed by hand."""
    index = built(tmp_path, "same build")
    theirs = publish_index(index, target, quiet, owner=ONE).collection
    delete = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name="flame-docs"))
    server.engine.update_collection_aliases([delete])
    ours = publish_index(index, target, quiet, owner=TWO).collection
    assert ours != theirs
    assert collections(server) == {ours, theirs}
    with pytest.raises(FlameMcpError, match="no index before"):
        roll_back(target, quiet, TWO)


def test_a_restored_snapshot_belongs_to_who_restores_it(
    served: tuple[QdrantStandIn, QdrantTarget], tmp_path: Path
) -> None:
    server, target = served
    publish_index(built(tmp_path, "team"), target, quiet, owner=ONE)
    file = take_snapshot(target, 1, quiet, tmp_path / "copies").file
    assert file is not None
    with pytest.raises(FlameMcpError, match="belongs to team-1"):
        restore_file(target, Path(file), quiet, TWO)
    restored = restore_file(target, Path(file), quiet, Owner(TWO.name, take_over=ONE.name))
    assert (meant(server), owner(server)) == (restored.collection, TWO.name)


def test_an_owner_in_the_metadata_is_cut_and_plain(target: QdrantTarget, tmp_path: Path) -> None:
    publish_index(built(tmp_path, "team"), target, quiet, owner=Owner("evil\x1b[31m" + "x" * 500))
    with pytest.raises(FlameMcpError, match=r"belongs to evil\[31mx{182,184}, ") as told:
        publish_index(built(tmp_path, "team"), target, quiet, owner=TWO)
    assert "\x1b" not in str(told.value)


def test_the_command_line_names_owners(server: QdrantStandIn, target: QdrantTarget, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)

    def run(*words: str) -> Any:  # noqa: ANN401 - click's result
        common = ["--index", str(built(tmp_path, words[-1])), "--qdrant", target.url]
        env = {"FLAME_MCP_QDRANT_API_KEY_FILE": str(key)}
        return CliRunner(env=env).invoke(main, ["index", "publish", *common, *words[:-1]])

    assert run("--owner", "team-1", "one").exit_code == 0
    refused = run("two")
    assert refused.exit_code == 1
    assert "belongs to team-1" in refused.output
    assert run("--owner", "team-2", "--take-over", "team-1", "two").exit_code == 0
    assert owner(server) == "team-2"
    assert run("--owner", "two words", "three").exit_code == 2
