# ruff: noqa: ANN401 - JSON values
"""An API server in memory, as far as the operator uses it: server-side apply with ownership, and status."""

import copy
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from flame_operator.api import selected
from flame_operator.api.kube import STATUS_MANAGER
from flame_operator.api.lists import slim_event
from flame_operator.errors import Conflict
from flame_operator.resource.kinds import POD, SERVER, Key, Kind, Manifest, key_of, without_content


class Crash(BaseException):
    """Ends the process; a BaseException, as nothing may handle it."""


class FakeKube:
    """`KubeApi` over a dictionary. `writes` are what changed something; `crash_at` ends the process there."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, Key], Manifest] = {}
        self.writes: list[str] = []
        self.requests: list[str] = []
        self.crash_at: tuple[int, str] | None = None
        self.fail: dict[str, Exception] = {}
        self.served: set[str] = set()
        self.events: list[Manifest] = []
        self.fail_once: dict[str, Exception] = {}
        self._owned: dict[tuple[str, Key], Manifest] = {}
        self._versions = itertools.count(100)

    def create(self, body: Manifest) -> Manifest:
        """What somebody else creates."""
        slot = (body["kind"], key_of(body))
        return self._store(
            slot, {**body, "metadata": {"uid": f"uid-{next(self._versions)}", **body["metadata"]}}
        )

    def edit(self, kind: str, key: Key, **fields: Any) -> Manifest:
        """What somebody else sets at the top level of an object."""
        return self._store((kind, key), {**self.objects[kind, key], **copy.deepcopy(fields)})

    def remove(self, kind: str, key: Key) -> Manifest:
        """What somebody else deletes; returns what the watch would report."""
        gone = self.objects.pop((kind, key))
        self._owned.pop((kind, key), None)
        return {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(next(self._versions))}}

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        slot = (manifest["kind"], key_of(manifest))
        self._begin(f"apply {manifest['kind']}")
        live = self.objects.get(slot)
        if (live["metadata"]["uid"] if live else None) != uid:
            raise Conflict("the object has been modified")
        base = live or {"metadata": {"uid": f"uid-{next(self._versions)}", "generation": 0}}
        merged = _merge(_without(base, self._owned.get(slot, {}), manifest), manifest)
        self._owned[slot] = copy.deepcopy(manifest)
        if live is not None and merged.get("spec") != live.get("spec"):
            metadata = merged["metadata"]
            merged["metadata"] = {**metadata, "generation": metadata.get("generation", 0) + 1}
        return self._written(f"apply {manifest['kind']}", slot, merged)

    async def get(self, kind: Kind, key: Key, *, most: int = 0) -> Manifest | None:  # noqa: ARG002 - all are small
        return self._read(f"get {kind.kind}", kind, key)

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        found = self._read(f"metadata {kind.kind}", kind, key)
        return found and without_content(kind, found["metadata"])

    async def serves(self, kind: Kind) -> bool:
        self.requests.append(f"discover {kind.kind}")
        return kind.kind in self.served

    async def post_event(self, event: Manifest) -> None:
        self.events.append(event)

    def _read(self, what: str, kind: Kind, key: Key) -> Manifest | None:
        self.requests.append(what)
        if what in self.fail:
            raise self.fail[what]
        return copy.deepcopy(self.objects.get((kind.kind, key)))

    async def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None, metadata_only: bool = False
    ) -> AsyncIterator[Manifest]:
        self.requests.append(f"list {kind.kind}")
        wanted = [part.split("=") for part in selector.split(",") if part]
        for (found, key), body in list(self.objects.items()):
            labels = body["metadata"].get("labels") or {}
            chosen = all(labels.get(label) == value for label, value in wanted)
            if found == kind.kind and namespace in (None, key.namespace) and chosen:
                found_body = without_content(kind, body["metadata"]) if metadata_only else body
                yield _seen(found_body) if kind == POD else copy.deepcopy(found_body)

    async def events_about(self, uid: str, namespace: str) -> Sequence[Manifest]:
        self.requests.append("list Event")
        if "list Event" in self.fail:
            raise self.fail["list Event"]
        return [
            slim_event(body)
            for (kind, key), body in self.objects.items()
            if kind == "Event" and key.namespace == namespace and body["involvedObject"]["uid"] == uid
        ]

    async def delete(self, child: Manifest, *, propagation: str = "Background") -> None:  # noqa: ARG002 - at once
        slot = (child["kind"], key_of(child))
        self._begin(f"delete {child['kind']}")
        live = self.objects.get(slot)
        if live is not None and live["metadata"]["uid"] != child["metadata"]["uid"]:
            raise Conflict("the uid is another")
        if live is not None:
            self.remove(*slot)
            self._note(f"delete {child['kind']}")

    async def correct(self, child: Manifest, operations: Sequence[Manifest]) -> Manifest:
        slot = (child["kind"], key_of(child))
        self._begin(f"correct {child['kind']}")
        live = copy.deepcopy(self.objects[slot])
        if live["metadata"]["resourceVersion"] != child["metadata"]["resourceVersion"]:
            raise Conflict("test failed")
        for operation in operations:
            *way, last = operation["path"].removeprefix("/").split("/")
            place: Any = live
            for step in way:
                place = place[int(step)] if isinstance(place, list) else place[step]
            place[last] = operation["value"]
        return self._written(f"correct {child['kind']}", slot, live)

    async def patch_status(
        self, server: Manifest, status: Manifest, *, manager: str = STATUS_MANAGER, exact: bool = False
    ) -> Manifest | None:
        slot = (SERVER.kind, key_of(server))
        self._begin("status")
        live = self.objects.get(slot)
        if live is None or live["metadata"]["uid"] != server["metadata"]["uid"]:
            return None
        if exact and live["metadata"]["resourceVersion"] != server["metadata"]["resourceVersion"]:
            raise Conflict("the resource has changed")
        if manager != STATUS_MANAGER:
            said = {one["type"]: one for one in status.get("conditions", [])}
            old = live.get("status") or {}
            kept = [said.pop(one["type"], one) for one in old.get("conditions", [])]
            status = {**old, **status, "conditions": [*kept, *said.values()]}
        return self._written("status", slot, {**live, "status": copy.deepcopy(status)})

    def _begin(self, what: str) -> None:
        self.requests.append(what)
        if self.crash_at == (len(self.writes), "before"):
            raise Crash
        if what in self.fail_once:
            raise self.fail_once.pop(what)
        if what in self.fail:
            raise self.fail[what]

    def _note(self, what: str) -> None:
        self.writes.append(what)
        if self.crash_at == (len(self.writes), "after"):
            raise Crash

    def _written(self, what: str, slot: tuple[str, Key], body: Manifest) -> Manifest:
        stored = self._store(slot, body)
        self._note(what)
        return stored

    def _store(self, slot: tuple[str, Key], body: Manifest) -> Manifest:
        metadata = {**body["metadata"], "resourceVersion": str(next(self._versions))}
        self.objects[slot] = copy.deepcopy({**body, "metadata": metadata})
        return copy.deepcopy(self.objects[slot])


def _merge(live: Any, applied: Any) -> Any:
    if isinstance(live, dict) and isinstance(applied, dict):
        return {**live, **{name: _merge(live.get(name), value) for name, value in applied.items()}}
    return copy.deepcopy(applied)


def _without(live: Any, before: Any, now: Any) -> Any:
    """`live` less the fields that the manager applied before and no longer does."""
    if not (isinstance(live, dict) and isinstance(before, dict) and isinstance(now, dict)):
        return live
    return {
        name: _without(value, before.get(name), now.get(name))
        for name, value in live.items()
        if name in now or name not in before
    }


def server(name: str = "docs", namespace: str = "team", *, uid: str = "uid-1", **spec: Any) -> Manifest:
    """A FlameMCPServer as the API server would store it."""
    return {
        "apiVersion": SERVER.api_version,
        "kind": SERVER.kind,
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "generation": 1},
        "spec": spec,
    }


def _seen(pod: Manifest) -> Manifest:
    """What a list says of a pod."""
    read: Manifest = selected.pods(json.dumps({"items": [pod]}).encode())["items"][0]
    return {**read, "apiVersion": "v1", "kind": POD.kind}
