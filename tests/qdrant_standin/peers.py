"""The peers of a cluster that one process plays, and which of them have a copy of which collection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOOKS = 2
"""How often somebody has to look until a copy is complete."""
_BUSY = "Bad request: Shard 0 is already involved in transfer {} -> {}"


@dataclass
class Copy:
    """One peer's copy of a collection's only shard."""

    state: str = "Active"
    source: int | None = None
    looks: int = 0


@dataclass
class Peers:
    """A cluster in which each collection has one shard. All requests reach the first peer that is left.

    Attributes:
        uris: The peers by ID, as consensus knows them; empty without cluster mode.
        gone: Those of them that don't run any more.
        refusals: How many requests for a copy are refused before one is taken, as while another is under way.
        unsettled: How often a collection that was restored is still counted on a copy that is empty.
    """

    uris: dict[int, str] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    refusals: int = 0
    unsettled: dict[str, int] = field(default_factory=dict)
    _copies: dict[str, dict[int, Copy]] = field(default_factory=dict)
    _factors: dict[str, int] = field(default_factory=dict)
    _joined: int = 0

    def join(self, uri: str = "") -> int:
        """A new peer, which has no data.

        Raises:
            ValueError: Another peer with data has this URI.
        """
        uri = uri or f"http://peer-{self._joined}:6335/"
        for peer in [peer for peer, known in self.uris.items() if known == uri]:
            self.remove(peer)
        self._joined += 1
        self.uris[1000 + self._joined] = uri
        return 1000 + self._joined

    def lose(self, peer: int) -> None:
        """A peer ends and its volume is gone. As long as nobody writes, its copies still count as usable."""
        self.gone.add(peer)

    def remove(self, peer: int, *, force: bool = False) -> bool:
        """Takes a peer out of consensus, whether there is such a peer or not.

        Raises:
            ValueError: It has data and `force` isn't given.
        """
        if not force and any(peer in copies for copies in self._copies.values()):
            raise ValueError(f"Bad request: Cannot remove peer {peer} as there are shards on it")
        self.uris.pop(peer, None)
        self.gone.discard(peer)
        for copies in self._copies.values():
            copies.pop(peer, None)
        return True

    def created(self, collection: str, factor: int | None) -> None:
        """A collection was made: it has as many copies as it may have and there are peers."""
        if self.uris:
            self._factors[collection] = factor or 1
            self._copies[collection] = {
                peer: Copy("Initializing" if peer in self.gone else "Active")
                for peer in list(self.uris)[: factor or 1]
            }

    def restored(self, collection: str) -> None:
        """A collection was restored on the first peer from a snapshot of a whole cluster like this one.

        The other peers made empty copies, and bring them up to date now.
        """
        self.created(collection, len(self.uris))
        me = self._first()
        others = [peer for peer in self._copies.get(collection, {}) if peer != me]
        for peer in others:
            self._copies[collection][peer] = Copy("Partial", me)
        if others:
            self.unsettled[collection] = LOOKS

    def counts_an_empty_copy(self, collection: str) -> bool:
        """Whether a count still meets a copy that is empty."""
        left = self.unsettled.get(collection, 0)
        self.unsettled[collection] = max(left - 1, 0)
        return left > 0

    def deleted(self, collection: str) -> None:
        """A collection was removed."""
        self._copies.pop(collection, None)

    def factor(self, collection: str, factor: int | None = None) -> int | None:
        """How many copies a collection may have, after a change if any; None without cluster mode."""
        if factor is not None:
            self._factors[collection] = factor
        return self._factors.get(collection, 1) if self.uris else None

    def copies(self, collection: str) -> dict[int, str]:
        """The states of a collection's copies."""
        return {peer: copy.state for peer, copy in self._of(collection).items()}

    def status(self) -> Mapping[str, Any]:
        """What `GET /cluster` tells."""
        if not self.uris:
            return {"status": "disabled"}
        me = self._first()
        return {
            "status": "enabled",
            "peer_id": me,
            "peers": {str(peer): {"uri": uri} for peer, uri in self.uris.items()},
            "raft_info": {
                "term": 1, "commit": 10, "pending_operations": 0, "leader": me, "role": "Leader",
                "is_voter": True,
            },
            "consensus_thread_status": {
                "consensus_thread_status": "working", "last_update": "2026-01-01T00:00:00Z",
            },
            "message_send_failures": {},
        }  # fmt: skip

    def described(self, collection: str) -> Mapping[str, Any]:
        """What `GET /collections/X/cluster` tells; each look brings copies that are under way forward."""
        if not self.uris:
            return {
                "peer_id": 1, "shard_count": 1, "remote_shards": [], "shard_transfers": [],
                "local_shards": [{"shard_id": 0, "points_count": 1, "state": "Active"}],
            }  # fmt: skip
        copies, me = self._of(collection), self._first()
        for copy in copies.values():
            if copy.source is not None:
                copy.looks += 1
                if copy.looks > LOOKS:
                    copy.state, copy.source = "Active", None
        others = [
            {"shard_id": 0, "peer_id": peer, "state": copy.state}
            for peer, copy in copies.items()
            if peer != me
        ]
        mine = [{"shard_id": 0, "points_count": 1, "state": copies[me].state}] if me in copies else []
        transfers = [
            {"shard_id": 0, "from": copy.source, "to": peer, "sync": True, "method": "stream_records"}
            for peer, copy in copies.items()
            if copy.source is not None
        ]
        return {
            "peer_id": me, "shard_count": 1, "local_shards": mine, "remote_shards": others,
            "shard_transfers": transfers,
        }  # fmt: skip

    def replicate(self, collection: str, operation: Mapping[str, Any]) -> bool:
        """Begins a copy, or drops one.

        Raises:
            ValueError: The request isn't one that Qdrant would take.
        """
        copies = self._of(collection)
        if dropped := operation.get("drop_replica"):
            return copies.pop(dropped["peer_id"], None) is not None
        wanted = operation["replicate_shard"]
        source, to = wanted["from_peer_id"], wanted["to_peer_id"]
        if self.refusals:
            self.refusals -= 1
            raise ValueError(_BUSY.format(source, to))
        for peer, copy in copies.items():
            if copy.source is not None and {source, to} & {copy.source, peer}:
                raise ValueError(_BUSY.format(copy.source, peer))
        if wanted["shard_id"] != 0 or copies.get(source, Copy("None")).state != "Active":
            raise ValueError(f"Bad request: Shard {wanted['shard_id']} is not active on peer {source}")
        if to not in self.uris or to in copies:
            raise ValueError(f"Bad request: Peer {to} does not exist, or has shard 0 already")
        copies[to] = Copy("Partial", source)
        return True

    def _first(self) -> int:
        return next((peer for peer in self.uris if peer not in self.gone), 0)

    def _of(self, collection: str) -> dict[int, Copy]:
        # One that was there before cluster mode is the first peer's.
        return self._copies.setdefault(collection, {self._first(): Copy()})
