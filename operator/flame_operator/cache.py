"""What the operator has seen of the cluster: the input of every reconcile."""

import json
from collections import OrderedDict
from collections.abc import Iterator

from flame_operator.model import CHILD_KINDS, KINDS, SERVER, Key, Manifest, key_of

REMEMBERED_DELETIONS = 4096


class Cache:
    """The newest seen version of each server and child.

    Objects are kept as JSON text, which takes a quarter of the memory that dicts do. Three sources feed it:
    the watch, our own lists, and the answers to our own writes, so that a reconcile sees what the last one
    wrote.
    """

    def __init__(self) -> None:
        self._objects: dict[tuple[str, Key], tuple[int, bytes]] = {}
        # The answer to a write may arrive after the news that the object is gone again.
        self._deleted: OrderedDict[tuple[str, Key], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, body: Manifest) -> bool:
        """Remember an object; True when it differs from what was known, other than by bookkeeping fields."""
        slot, version, text = _packed(body)
        known = self._objects.get(slot)
        if version <= self._deleted.get(slot, -1) or (known is not None and version <= known[0]):
            return False
        self._objects[slot] = (version, text)
        return known is None or known[1] != text

    def drop(self, body: Manifest) -> bool:
        """Forget a deleted object; True when it was known."""
        slot, version, _ = _packed(body)
        known = self._objects.get(slot)
        if known is not None and known[0] > version:
            return False
        self._deleted[slot] = version
        self._deleted.move_to_end(slot)
        while len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        return self._objects.pop(slot, None) is not None

    def learn(self, kind: str, key: Key, live: Manifest | None) -> None:
        """Take over what a direct read found.

        It overrules the news of a deletion: a watch with a selector tells the same of an object that has lost
        its label.
        """
        self._objects.pop((kind, key), None)
        self._deleted.pop((kind, key), None)
        if live is not None:
            self.put(live)

    def server(self, key: Key) -> Manifest | None:
        """The FlameMCPServer of that name."""
        return self._get(SERVER.kind, key)

    def children(self, key: Key) -> Iterator[Manifest]:
        """The known objects that have the names of this server's children."""
        for kind in CHILD_KINDS:
            child = self._get(kind.kind, key)
            if child is not None:
                yield child

    def servers(self) -> Iterator[Key]:
        """The keys of all known servers."""
        return (key for kind, key in list(self._objects) if kind == SERVER.kind)

    def snapshot(self, kind: str) -> dict[Key, int]:
        """The resource versions of all known objects of a kind."""
        return {key: version for (known, key), (version, _) in self._objects.items() if known == kind}

    def expire(self, kind: str, missing: dict[Key, int]) -> set[Key]:
        """Forget objects that a full list lacks, if they haven't changed since; returns those forgotten."""
        gone = {
            key for key, version in missing.items() if self._objects.get((kind, key), (None,))[0] == version
        }
        for key in gone:
            del self._objects[kind, key]
        return gone

    def _get(self, kind: str, key: Key) -> Manifest | None:
        found = self._objects.get((kind, key))
        if found is None:
            return None
        # What kind it is need not be kept for each object.
        body: Manifest = {"apiVersion": KINDS[kind].api_version, "kind": kind, **json.loads(found[1])}
        body["metadata"]["resourceVersion"] = str(found[0])
        return body


def _packed(body: Manifest) -> tuple[tuple[str, Key], int, bytes]:
    """Slot, version and text of an object.

    Resource versions of one kind are comparable integers in every Kubernetes since 1.35, and were before
    wherever etcd is the store.
    """
    metadata = {
        name: value
        for name, value in body["metadata"].items()
        if name not in ("managedFields", "resourceVersion")
    }
    slim = {name: value for name, value in body.items() if name not in ("apiVersion", "kind")} | {
        "metadata": metadata
    }
    text = json.dumps(slim, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    return (body["kind"], key_of(body)), int(body["metadata"]["resourceVersion"]), text
