"""Sees to it that each peer of a Qdrant cluster has a copy of an alias's collections."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_server.errors import UnavailableError
from flame_server.qdrant.connection import METADATA, GoneError, QdrantTarget
from flame_server.qdrant.generations import alias_target
from flame_server.qdrant.retries import retrying_client

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

PEERS_SECONDS = 120.0
"""How long to wait for peers that have not joined yet."""
COPIES_SECONDS = 600.0
"""How long to wait for the copies of all collections."""
LOOK_SECONDS = 1.0
_ACTIVE = "Active"


@dataclass(frozen=True)
class Copies:
    """How complete a cluster is.

    Attributes:
        peers: How many peers it has.
        copies: How many usable copies each shard of the alias's collections has at least.
        wanted: How many copies each should have.
    """

    peers: int
    copies: int
    wanted: int

    @property
    def complete(self) -> bool:
        """Whether there are as many peers and copies as wanted."""
        return self.peers >= self.wanted and self.copies >= self.wanted

    def as_result(self) -> dict[str, Any]:
        """The fields of a step's result that tell of it."""
        return {"peers": self.peers, "copies": self.copies}


@dataclass(frozen=True)
class Shard:
    """One shard of a collection.

    Attributes:
        number: Its ID.
        states: The states of its copies by peer.
        arriving: The peers that are getting a copy.
        giving: The peers from which copies are being made.
    """

    number: int
    states: Mapping[int, str]
    arriving: frozenset[int] = frozenset()
    giving: frozenset[int] = frozenset()

    @property
    def active(self) -> Sequence[int]:
        """The peers that have a usable copy, in a fixed order."""
        return sorted(peer for peer, state in self.states.items() if state == _ACTIVE)


def missing(shard: Shard, peers: Sequence[int], wanted: int) -> Sequence[tuple[int, int]]:
    """The copies to make now, each as the peer to copy from and the peer to copy to.

    A copy that is on its way counts, and so does one that Qdrant itself is about to mend: a peer that was
    away gets what it has missed without being asked. Qdrant refuses a copy of a shard from or to a peer that
    takes part in another copy of that shard, so the rest has to wait.
    """
    busy = shard.giving | shard.arriving
    sources = [peer for peer in shard.active if peer in peers and peer not in busy]
    has = set(shard.states) | shard.arriving
    without = [peer for peer in sorted(peers) if peer not in has]
    lacking = max(wanted - len(has & set(peers)), 0)
    return list(zip(sources, without[:lacking], strict=False))


def complete_copies(target: QdrantTarget, wanted: int, report: Callable[[str], None]) -> Copies:
    """Waits for all peers, and makes the copies that collections of the alias lack.

    It may be repeated, and goes on where it was interrupted.

    Raises:
        UnavailableError: Peers or copies are still missing at the end of the time, or Qdrant refuses.
    """

    async def completed() -> Copies:
        async with retrying_client(target, report) as client:
            await wait_for_peers(client, target, wanted, report)
            found = await make_copies(client, target, wanted, report, COPIES_SECONDS)
        if not found.complete:
            raise UnavailableError(
                f"Qdrant at {target.url} has {found.copies} of {wanted} copies on {found.peers} peers after "
                f"{COPIES_SECONDS:.0f} s; look at the logs of its pods"
            )
        return found

    return asyncio.run(completed())


async def wait_for_peers(
    client: "AsyncQdrantClient",
    target: QdrantTarget,
    wanted: int,
    report: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Waits until the cluster has as many peers as wanted: a collection that is made before has fewer copies.

    Raises:
        UnavailableError: Peers are still missing after `PEERS_SECONDS`.
    """
    until, told = time.monotonic() + PEERS_SECONDS, False
    while len(known := await peers_of(client)) < wanted:
        if time.monotonic() >= until:
            raise UnavailableError(f"Qdrant at {target.url} has {len(known)} of {wanted} peers")
        if not told:
            report(f"waiting for peers: {len(known)} of {wanted} have joined")
            told = True
        await sleep(LOOK_SECONDS)


async def make_copies(  # noqa: PLR0913, PLR0917 - as many as it takes to test it
    client: "AsyncQdrantClient",
    target: QdrantTarget,
    wanted: int,
    report: Callable[[str], None],
    seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Copies:
    """Starts all copies that are missing and waits for them; after `seconds` the rest is left to Qdrant."""
    until = time.monotonic() + seconds
    names = await _collections(client, target)
    for name in names:
        await _allow(client, name, wanted)
    while True:
        peers = await peers_of(client)
        least = len(peers)
        for name in names:
            for shard in await _shards(client, name):
                least = min(least, len(set(shard.active) & set(peers)))
                await _copy(client, name, shard, peers, wanted, report)
        found = Copies(len(peers), least, wanted)
        if found.complete or time.monotonic() >= until:
            return found
        await sleep(LOOK_SECONDS)


async def peers_of(client: "AsyncQdrantClient") -> Sequence[int]:
    """The IDs of all peers; a server without cluster mode is one peer."""
    status: Any = await client.cluster_status()
    return [int(peer) for peer in status.peers] if getattr(status, "peers", None) else [0]


async def _collections(client: "AsyncQdrantClient", target: QdrantTarget) -> Sequence[str]:
    """The collections that were made for the alias, whichever release made them."""
    found = []
    current = await alias_target(client, target)
    for collection in (await client.get_collections()).collections:
        if collection.name == current:
            found.append(collection.name)
        elif collection.name.startswith(f"{target.collection}__"):
            try:
                kept = ((await client.get_collection(collection.name)).config.metadata or {}).get(METADATA)
            except GoneError:
                continue  # removed by another run in the meantime
            if isinstance(kept, dict) and kept.get("alias") == target.collection:
                found.append(collection.name)
    return sorted(found)


async def _allow(client: "AsyncQdrantClient", name: str, wanted: int) -> None:
    """Lets a collection have as many copies as wanted; it may have been made for fewer peers."""
    from qdrant_client import models  # noqa: PLC0415 - see connect

    known = (await client.get_collection(name)).config.params.replication_factor or 1
    if known != wanted:
        params = models.CollectionParamsDiff(replication_factor=wanted)
        await client.update_collection(name, collection_params=params)


async def _shards(client: "AsyncQdrantClient", name: str) -> Sequence[Shard]:
    try:
        found = await client.collection_cluster_info(name)
    except GoneError:
        return []  # removed by another run in the meantime
    return shards_of(found)


def shards_of(found: "models.CollectionClusterInfo") -> Sequence[Shard]:
    """The shards of a collection, from what one of its peers tells about all of them."""
    states: dict[int, dict[int, str]] = {}
    for local in found.local_shards:
        states.setdefault(local.shard_id, {})[found.peer_id] = str(local.state)
    for remote in found.remote_shards:
        states.setdefault(remote.shard_id, {})[remote.peer_id] = str(remote.state)
    return [
        Shard(
            shard,
            known,
            frozenset(one.to for one in found.shard_transfers if one.shard_id == shard),
            frozenset(one.from_ for one in found.shard_transfers if one.shard_id == shard),
        )
        for shard, known in sorted(states.items())
    ]


async def _copy(  # noqa: PLR0913, PLR0917 - all of it describes one shard
    client: "AsyncQdrantClient",
    name: str,
    shard: Shard,
    peers: Sequence[int],
    wanted: int,
    report: Callable[[str], None],
) -> None:
    from qdrant_client import models  # noqa: PLC0415 - see connect

    for source, to in missing(shard, peers, wanted):
        copy = models.ReplicateShard(shard_id=shard.number, from_peer_id=source, to_peer_id=to)
        try:
            await client.cluster_collection_update(name, models.ReplicateShardOperation(replicate_shard=copy))
        except UnavailableError as error:
            # Qdrant may have begun the copy itself, or may be busy with another one of this shard.
            report(f"{error}; looking again")
            return
        report(f"copying shard {shard.number} of {name} to peer {to}")
