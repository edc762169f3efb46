"""The copies of an index in a Qdrant cluster: made for peers that join, again for those that are lost."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from qdrant_client import models

from flame_server.commands.main import main
from flame_server.embedding.identity import NO_EMBEDDING
from flame_server.errors import UnavailableError
from flame_server.publishing import copies
from flame_server.publishing.checks import Checks
from flame_server.publishing.copies import Shard, complete_copies, missing
from flame_server.publishing.publish import publish_index
from flame_server.qdrant.connection import QdrantTarget, connect
from flame_server.search.qdrant import QdrantSearcher
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.qdrant_server import KEY, READ_KEY, qdrant_served
from tests.support.server.small_docs import quiet
from tests.support.server.snapshots import ALIAS, another

CANARY = Checks(0, "", 3)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantStandIn]:
    """A cluster of one peer, as the operator begins."""
    monkeypatch.setattr(copies, "LOOK_SECONDS", 0.0)
    with qdrant_served(KEY) as found:
        found.peers.join()
        yield found


@pytest.fixture
def target(server: QdrantStandIn) -> QdrantTarget:
    return QdrantTarget(server.url, ALIAS, KEY)


@pytest.fixture(params=["stand-in", "real"])
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantTarget]:
    """A cluster of three peers or more: a stand-in, or the one that QDRANT_URL (and QDRANT_API_KEY) name."""
    if request.param == "stand-in":
        monkeypatch.setattr(copies, "LOOK_SECONDS", 0.0)
        with qdrant_served(KEY) as found:
            for _ in range(3):
                found.peers.join()
            yield QdrantTarget(found.url, ALIAS, KEY)
        return
    url = os.environ.get("QDRANT_URL", "")
    target = QdrantTarget(url, f"flame-mcp-test-{uuid4().hex[:8]}", os.environ.get("QDRANT_API_KEY"))
    if not url or len(asyncio.run(peers(target))) < 3:
        pytest.skip("no real cluster: set QDRANT_URL")
    yield target
    asyncio.run(remove(target))


async def peers(target: QdrantTarget) -> list[int]:
    client = connect(target, 30)
    status = await client.cluster_status()
    await client.close()
    return sorted(int(peer) for peer in getattr(status, "peers", {}))


async def remove(target: QdrantTarget) -> None:
    client = connect(target, 30)
    for found in (await client.get_collections()).collections:
        if found.name.startswith(target.collection):
            await client.delete_collection(found.name)
    await client.close()


async def drop_a_copy(target: QdrantTarget, collection: str) -> None:
    client = connect(target, 30)
    info = await client.collection_cluster_info(collection)
    one = info.remote_shards[0]
    lost = models.Replica(shard_id=one.shard_id, peer_id=one.peer_id)
    await client.cluster_collection_update(collection, models.DropReplicaOperation(drop_replica=lost))
    await client.close()


def test_growing_and_losing_a_copy_on_any_qdrant(lexical_index: Path, cluster: QdrantTarget) -> None:
    """Only what Qdrant documents is used, so that the same holds for a real cluster."""
    wanted = len(asyncio.run(peers(cluster)))
    published = publish_index(lexical_index, cluster, quiet)
    assert complete_copies(cluster, wanted, quiet).complete
    asyncio.run(drop_a_copy(cluster, published.collection))
    found = complete_copies(cluster, wanted, quiet)
    assert (found.peers, found.copies) == (wanted, wanted)
    assert answers(cluster)
    again = publish_index(lexical_index, cluster, quiet, Checks(0, "", wanted))
    assert (again.collection, again.copies) == (published.collection, found)


def answers(target: QdrantTarget) -> bool:
    async def ask() -> bool:
        searcher = QdrantSearcher(target, NO_EMBEDDING, None, len, lambda _: None)
        try:
            return bool((await searcher.answer("viewport", 3)).found)
        finally:
            await searcher.close()

    return asyncio.run(ask())


def on(server: QdrantStandIn, collection: str) -> int:
    """How many usable copies there are on peers that run."""
    found = server.peers.copies(collection)
    return sum(state == "Active" and peer in server.peers.uris for peer, state in found.items())


def test_from_one_to_three_to_five_peers_on_live_data(
    small_docs: Path, tmp_path: Path, server: QdrantStandIn, target: QdrantTarget
) -> None:
    first = another(small_docs, tmp_path / "index", target, "1")
    second = another(small_docs, tmp_path / "index", target, "2")
    assert (on(server, first), on(server, second)) == (1, 1)
    for wanted in (3, 5):
        while len(server.peers.uris) < wanted:
            server.peers.join()
        told: list[str] = []
        found = complete_copies(target, wanted, told.append)
        assert (found.peers, found.copies, found.complete) == (wanted, wanted, True)
        assert all(line.startswith("copying shard 0 of ") for line in told), "Qdrant has refused something"
        # The index before can be gone back to, so it is copied, too.
        assert (on(server, first), on(server, second)) == (wanted, wanted)
        assert server.peers.factor(second) == wanted
        assert answers(target)
    before = len(server.requests)
    assert complete_copies(target, 5, quiet).complete
    assert {method for method, _ in server.requests[before:]} == {"GET"}


def test_a_lost_peer_is_made_up_for_by_the_one_that_takes_its_place(
    lexical_index: Path, server: QdrantStandIn, target: QdrantTarget
) -> None:
    for _ in range(2):
        server.peers.join()
    published = publish_index(lexical_index, target, quiet, CANARY)
    lost = list(server.peers.uris)[1]
    uri = server.peers.uris[lost]
    server.peers.lose(lost)
    # Qdrant counts its copy until somebody writes; so the operator waits for the pod before it counts.
    assert on(server, published.collection) == 3
    # It has data, as far as consensus knows, so that nobody can take its place unless it is removed.
    with pytest.raises(ValueError, match="there are shards on it"):
        server.peers.join(uri)
    server.peers.remove(lost, force=True)
    server.peers.join(uri)
    assert complete_copies(target, 3, quiet).copies == 3
    assert on(server, published.collection) == 3


def test_a_load_makes_all_copies_and_tells_how_many(
    lexical_index: Path, server: QdrantStandIn, target: QdrantTarget
) -> None:
    alone = publish_index(lexical_index, target, quiet)
    assert "copies" not in alone.as_result()
    for _ in range(2):
        server.peers.join()
    # The index is the same, so nothing is loaded; yet it is copied.
    same = publish_index(lexical_index, target, quiet, CANARY)
    assert same.collection == alone.collection
    assert {name: same.as_result()[name] for name in ("peers", "copies")} == {"peers": 3, "copies": 3}
    assert on(server, alone.collection) == 3


def test_a_load_waits_until_all_peers_have_joined(
    lexical_index: Path, server: QdrantStandIn, target: QdrantTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def report(line: str) -> None:
        told.append(line)
        if "waiting for peers" in line:
            server.peers.join()
            server.peers.join()

    found = publish_index(lexical_index, target, report, CANARY)
    assert told[0] == "waiting for peers: 1 of 3 have joined"
    assert on(server, found.collection) == 3
    monkeypatch.setattr(copies, "PEERS_SECONDS", 0.0)
    with pytest.raises(UnavailableError, match="has 3 of 4 peers") as raised:
        publish_index(lexical_index, target, quiet, Checks(0, "", 4))
    assert raised.value.kind == "world"


def test_a_published_index_stays_published_when_copies_fail(
    lexical_index: Path, server: QdrantStandIn, target: QdrantTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_index(lexical_index, target, quiet)
    for _ in range(2):
        server.peers.join()
    server.peers.refusals = 10_000
    monkeypatch.setattr("flame_server.publishing.publish.PEERS_SECONDS", 0.0)
    found = publish_index(lexical_index, target, quiet, CANARY)
    assert (found.as_result()["copies"], answers(target)) == (1, True)
    monkeypatch.setattr(copies, "COPIES_SECONDS", 0.0)
    with pytest.raises(UnavailableError, match="has 1 of 3 copies on 3 peers"):
        complete_copies(target, 3, quiet)
    server.peers.refusals = 2
    monkeypatch.setattr(copies, "COPIES_SECONDS", 60.0)
    assert complete_copies(target, 3, quiet).complete


def test_collections_of_others_are_left_alone(
    lexical_index: Path, server: QdrantStandIn, target: QdrantTarget
) -> None:
    theirs = publish_index(lexical_index, QdrantTarget(server.url, f"{ALIAS}__eu", KEY), quiet).collection
    publish_index(lexical_index, target, quiet)
    server.peers.join()
    assert complete_copies(target, 2, quiet).copies == 2
    assert on(server, theirs) == 1


def test_what_is_copied_next() -> None:
    peers = [1, 2, 3, 4, 5]
    assert missing(Shard(0, {1: "Active"}), peers, 3) == [(1, 2)]
    assert missing(Shard(0, {1: "Active", 3: "Active"}), peers, 5) == [(1, 2), (3, 4)]
    # Qdrant refuses a copy from or to a peer that takes part in another one.
    copying = Shard(0, {1: "Active", 2: "Active", 3: "Partial"}, frozenset({3}), frozenset({1}))
    assert missing(copying, peers, 5) == [(2, 4)]
    assert not missing(copying, peers, 3)
    assert not missing(Shard(0, {1: "Active", 2: "Partial"}, frozenset({2}), frozenset({1})), peers, 5)
    # Qdrant brings a copy of a peer that was away up to date by itself.
    assert not missing(Shard(0, {1: "Active", 2: "Dead"}), [1, 2], 2)
    # A peer that has left doesn't count, and can't be copied from.
    assert missing(Shard(0, {1: "Active", 9: "Dead"}), [1, 2], 2) == [(1, 2)]
    assert not missing(Shard(0, {1: "Dead"}), [1, 2], 2)
    assert not missing(Shard(0, {9: "Active"}), [1, 2], 2)


def test_the_command_tells_the_job(
    lexical_index: Path, server: QdrantStandIn, target: QdrantTarget, tmp_path: Path
) -> None:
    publish_index(lexical_index, target, quiet)
    server.peers.join()
    result, key = tmp_path / "result", tmp_path / "key"
    key.write_text(KEY)
    variables = {"FLAME_MCP_RESULT_FILE": str(result), "FLAME_MCP_QDRANT_API_KEY_FILE": str(key)}
    arguments = ["index", "replicate", "--qdrant", server.url, "--replicas", "2"]
    done = CliRunner().invoke(main, arguments, env=variables)
    assert (done.exit_code, done.stdout) == (0, "2 copies on 2 peers\n")
    assert json.loads(result.read_text()) == {"step": "replicate", "peers": 2, "copies": 2}
    key.write_text(READ_KEY)
    server.peers.join()
    refused = CliRunner().invoke(main, [*arguments[:-1], "3"], env=variables)
    assert refused.exit_code == 1
    assert "may only read" in json.loads(result.read_text())["error"]["message"]
