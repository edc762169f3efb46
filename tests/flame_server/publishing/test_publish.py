"""Blue and green: what a new collection has to stand, what is kept, and that nobody notices a swap."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flame_server.commands.main import main
from flame_server.embedding.identity import NO_EMBEDDING
from flame_server.errors import FlameMcpError, HeldBackError, UnavailableError
from flame_server.index.build import build_index
from flame_server.publishing import publish
from flame_server.publishing.checks import Checks
from flame_server.publishing.publish import publish_index, roll_back
from flame_server.qdrant import generations, retries
from flame_server.qdrant.connection import QdrantTarget
from flame_server.search.qdrant import QdrantSearcher
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.qdrant_server import KEY, READ_KEY, qdrant_served
from tests.support.server.small_docs import quiet

ALIAS = "flame-docs"


@pytest.fixture
def server() -> Iterator[QdrantStandIn]:
    with qdrant_served(KEY) as found:
        yield found


@pytest.fixture
def target(server: QdrantStandIn) -> QdrantTarget:
    return QdrantTarget(server.url, ALIAS, KEY)


def built(folder: Path, pages: int, text: str = "component") -> Path:
    """An index of so many pages."""
    docs = folder / "docs"
    docs.mkdir(parents=True, exist_ok=True)
    for page in docs.glob("*.md"):
        page.unlink()
    for number in range(pages):
        (docs / f"page-{number}.md").write_text(f"# Page {number}\n\nAbout the {text} {number}.\n")
    build_index(str(docs), folder / "index", embedding="none", report=quiet)
    return folder / "index"


def collections(server: QdrantStandIn) -> set[str]:
    return {one.name for one in server.engine.get_collections().collections}


def meant(server: QdrantStandIn) -> str | None:
    return next((one.collection_name for one in server.engine.get_aliases().aliases), None)


def test_too_few_chunks_are_held_back_and_kept_for_a_look(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    first = publish_index(built(tmp_path, 10), target, quiet).collection
    with pytest.raises(HeldBackError, match="has 8 chunks, less than 90% of the 10") as raised:
        publish_index(built(tmp_path, 8), target, quiet)
    assert meant(server) == first
    (held,) = collections(server) - {first}
    assert held in str(raised.value)
    # Only one that was held back stays.
    with pytest.raises(HeldBackError):
        publish_index(built(tmp_path, 7), target, quiet)
    assert len(collections(server)) == 2
    assert held not in collections(server)
    # It isn't what a rollback goes back to.
    with pytest.raises(FlameMcpError, match="no index before"):
        roll_back(target, quiet)
    done = publish_index(built(tmp_path, 9), target, quiet)
    assert collections(server) == {first, done.collection}
    assert publish_index(built(tmp_path, 1), target, quiet, Checks(min_ratio=0)).previous == done.collection


def test_a_canary_without_an_answer_is_held_back(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    first = publish_index(built(tmp_path, 3), target, quiet).collection
    with pytest.raises(HeldBackError, match="no answer to the question 'zeppelin'"):
        publish_index(built(tmp_path, 3, "effect"), target, quiet, Checks(canary="zeppelin"))
    assert meant(server) == first


def test_the_same_content_is_not_loaded_again(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    first = publish_index(built(tmp_path, 3), target, quiet)
    server.requests.clear()
    again = publish_index(built(tmp_path, 3), target, quiet)
    assert again.collection == first.collection
    assert [path for method, path in server.requests if method == "PUT"] == []


def test_a_rollback_goes_one_back_and_keeps_both(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    names = [publish_index(built(tmp_path, 10 + number), target, quiet).collection for number in range(3)]
    assert collections(server) == set(names[1:])
    back = roll_back(target, quiet)
    assert (back.collection, back.previous) == (names[1], names[2])
    assert meant(server) == names[1]
    assert collections(server) == set(names[1:])
    with pytest.raises(FlameMcpError, match="no index before"):
        roll_back(target, quiet)
    # What comes next takes the place of the one that was rolled back from.
    following = publish_index(built(tmp_path, 14), target, quiet).collection
    assert collections(server) == {names[1], following}


def test_what_a_killed_run_has_left_is_removed(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    half = publish_index(built(tmp_path, 10), target, quiet).collection
    first = publish_index(built(tmp_path, 11), target, quiet).collection
    server.engine.delete(half, [0, 1, 2])
    done = publish_index(built(tmp_path, 12), target, quiet).collection
    assert collections(server) == {first, done}


def test_the_same_index_again_leaves_what_is_searched_until_it_is_there(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    index = built(tmp_path, 10)
    first = publish_index(index, target, quiet).collection
    server.engine.delete(first, [0])
    server.requests.clear()
    again = publish_index(index, target, quiet).collection
    moved = server.requests.index(("POST", "/collections/aliases"))
    assert ("DELETE", f"/collections/{first}") not in server.requests[:moved]
    assert (meant(server), server.engine.count(again).count) == (again, 10)
    # And once more, under the name of before.
    server.engine.delete(again, [0])
    assert publish_index(index, target, quiet).collection == first


def test_a_rollback_never_goes_to_what_was_held_back(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the run that followed was killed right after its alias had moved."""
    first = publish_index(built(tmp_path, 10), target, quiet).collection
    with pytest.raises(HeldBackError):
        publish_index(built(tmp_path, 5), target, quiet)
    move = generations.move_alias

    async def killed(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever it is given
        await move(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "move_alias", killed)
    with pytest.raises(KeyboardInterrupt):
        publish_index(built(tmp_path, 11), target, quiet)
    monkeypatch.setattr(publish, "move_alias", move)
    assert roll_back(target, quiet).collection == first == meant(server)


def test_a_lost_answer_is_no_reason_to_fail(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection that a first attempt has made, whose answer came too late, is what was asked for."""
    monkeypatch.setattr(retries, "_FIRST_WAIT", 0.001)
    for method in ("PUT", "POST", "DELETE"):
        server.losing = method
        done = publish_index(built(tmp_path, 10, f"component {method}"), target, quiet).collection
        assert server.losing != method
        assert (meant(server), server.engine.count(done).count) == (done, 10)


def test_a_collection_that_somebody_removes_meanwhile_is_left_alone(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [publish_index(built(tmp_path, 10 + number), target, quiet).collection for number in range(2)]
    listed = server.engine.get_collections()
    monkeypatch.setattr(server.engine, "get_collections", lambda: listed)
    server.engine.delete_collection(names[0])
    assert publish_index(built(tmp_path, 12), target, quiet).previous == names[1]


def test_no_question_fails_while_indexes_are_swapped(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    """Readers ask all the time, with the read-only key, through five swaps and a rollback."""
    publish_index(built(tmp_path, 10), target, quiet)
    reader = QdrantTarget(server.url, ALIAS, READ_KEY)
    asked = 0

    async def ask(searcher: QdrantSearcher, stop: asyncio.Event) -> None:
        nonlocal asked
        while not stop.is_set():
            answer = await searcher.answer("component", 3)
            assert answer.found
            asked += 1

    async def run() -> None:
        searchers = [QdrantSearcher(reader, NO_EMBEDDING, None, len, lambda _: None) for _ in range(4)]
        stop = asyncio.Event()
        readers = [asyncio.create_task(ask(searcher, stop)) for searcher in searchers]
        for number in range(5):
            index = await asyncio.to_thread(built, tmp_path, 11 + number)
            await asyncio.to_thread(publish_index, index, target, quiet)
        await asyncio.to_thread(roll_back, target, quiet)
        stop.set()
        await asyncio.gather(*readers)
        for searcher in searchers:
            await searcher.close()

    asyncio.run(run())
    assert asked > 50


def test_a_qdrant_that_is_away_is_waited_for(
    server: QdrantStandIn, target: QdrantTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            server.failing = None

    async def ask(seconds: float) -> None:
        monkeypatch.setattr(retries, "RETRY_SECONDS", seconds)
        async with retries.retrying_client(target, quiet, sleep=sleep) as client:
            await client.get_collections()

    server.failing = 503
    asyncio.run(ask(30))
    assert len(waits) == 3
    assert waits == sorted(waits) or max(waits) <= 8
    server.failing = 503
    with pytest.raises(UnavailableError, match="HTTP 503") as raised:
        asyncio.run(ask(0))
    assert raised.value.kind == "world"


def run(args: Sequence[str], result: Path, **environment: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(
        main, args, env={"FLAME_MCP_RESULT_FILE": str(result), **environment}, catch_exceptions=False
    )
    return done.exit_code, json.loads(result.read_text())


def test_exit_codes_and_results_tell_a_job_what_to_do(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", 0)
    key = tmp_path / "key"
    key.write_text(KEY)
    result = tmp_path / "result"
    index = built(tmp_path, 10)
    args = ["index", "publish", "--index", str(index), "--qdrant", server.url]
    code, told = run(args, result, FLAME_MCP_QDRANT_API_KEY_FILE=str(key))
    assert (code, told["step"], told["chunks"], told["documents"]) == (0, "publish", 10, 10)
    assert told["collection"] == meant(server)

    built(tmp_path, 2)
    code, told = run(args, result, FLAME_MCP_QDRANT_API_KEY_FILE=str(key))
    assert code == 3
    assert told["error"]["kind"] == "held"  # type: ignore[index]  # JSON

    key.write_text(READ_KEY)
    built(tmp_path, 12)
    code, told = run(args, result, FLAME_MCP_QDRANT_API_KEY_FILE=str(key))
    assert code == 1
    assert told["error"]["kind"] == "user"  # type: ignore[index]  # JSON
    assert READ_KEY not in json.dumps(told)

    server.failing = 503
    code, told = run(args, result, FLAME_MCP_QDRANT_API_KEY_FILE=str(key))
    assert code == 75
    assert told["error"]["kind"] == "world"  # type: ignore[index]  # JSON

    server.failing = None
    monkeypatch.setattr("flame_server.publishing.publish.publish_index", lambda *_: 1 / 0)
    code, told = run(args, result)
    assert code == 70
    assert told["error"] == {
        "kind": "internal", "step": "publish", "message": "unexpected ZeroDivisionError: see the log",
    }  # fmt: skip
    assert target.collection == ALIAS


def test_a_full_disk_is_the_worlds(
    server: QdrantStandIn, target: QdrantTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", 0)
    first = publish_index(built(tmp_path, 10), target, quiet).collection
    server.failing_writes = 507
    with pytest.raises(UnavailableError) as raised:
        publish_index(built(tmp_path, 11), target, quiet)
    assert raised.value.kind == "world"
    assert meant(server) == first
