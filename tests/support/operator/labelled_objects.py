"""An API server over HTTP that holds many large objects, and itself needs no memory for them."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from kubernetes.aio.client import Configuration

from flame_operator.api.kube import AioKube
from flame_operator.api.lists import Lists
from flame_operator.api.transport import Transport, open_session
from flame_operator.resource.kinds import POD, SERVER, WATCHED_KINDS, Key, Kind, Manifest, key_of

PIECE = 64 * 1024


def _resources(*names: tuple[str, str]) -> Manifest:
    verbs = {"namespaced": True, "singularName": "", "verbs": ["get", "list", "watch", "patch"]}
    found = [{"name": plural, "kind": kind, **verbs} for plural, kind in names]
    return {"kind": "APIResourceList", "resources": found}


def _group(name: str, version: str) -> Manifest:
    return {"name": name, "versions": [{"version": version}], "preferredVersion": {"version": version}}


DISCOVERY = {
    "/api": {"versions": ["v1"]},
    "/api/v1": _resources(("namespaces", "Namespace"), ("events", "Event")),
    "/apis": {"groups": [_group("apiextensions.k8s.io", "v1"), _group(SERVER.group, SERVER.version)]},
    "/apis/apiextensions.k8s.io/v1": _resources(("customresourcedefinitions", "CustomResourceDefinition")),
    f"/apis/{SERVER.api_version}": _resources((SERVER.plural, SERVER.kind)),
}
"""What kopf wants to know before it watches anything."""


@dataclass(frozen=True)
class Large:
    """An object; its large parts are JSON members that are written piece by piece."""

    kind: Kind
    body: Manifest
    metadata: str = ""
    """More members of its metadata, such as `"annotations":{...}`."""
    content: str = ""
    """More members of the object, such as `"data":{...}`."""

    def pieces(self, *, metadata_only: bool = False, names: bool = True) -> Iterator[str]:
        """Its JSON as the API server writes it, for an event or in a list."""
        metadata = json.dumps(self.body["metadata"], separators=(",", ":"))
        kind, version = self.kind.kind, self.kind.api_version
        if metadata_only:
            kind, version = "PartialObjectMetadata", "meta.k8s.io/v1"
        yield "{" + (f'"kind":"{kind}","apiVersion":"{version}",' if names or metadata_only else "")
        yield f'"metadata":{metadata[:-1]}' + ("," if self.metadata else "")
        yield from _cut(self.metadata)
        yield "}"
        rest = {
            name: value for name, value in self.body.items() if name not in ("apiVersion", "kind", "metadata")
        }
        if not metadata_only:
            for name, value in rest.items():
                yield f',"{name}":{json.dumps(value)}'
            yield "," if self.content else ""
            yield from _cut(self.content)
        yield "}"


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


@dataclass
class LargeApi:
    """Answers lists, reads and watches about these objects."""

    objects: list[Large] = field(default_factory=list)
    events: list[tuple[str, Large]] = field(default_factory=list)
    """What watches of their kind tell, before they fall silent."""
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last event has been sent."""
    requests: Counter[str] = field(default_factory=Counter)
    """How many there were of each: `list services`, `get configmaps`, `watch jobs`."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, unless the client has had enough of it."""
        try:
            return await self._answer(request)
        except ConnectionError:
            return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in DISCOVERY:
            return web.json_response(DISCOVERY[request.path])
        parts = request.path.strip("/").split("/")
        parts = parts[2 if parts[0] == "api" else 3 :]
        namespace = parts[1] if parts[0] == "namespaces" else None
        plural, *name = parts[2:] if namespace else parts
        kind = next(kind for kind in (SERVER, POD, *WATCHED_KINDS) if kind.plural == plural)
        only_metadata = "PartialObjectMetadata" in request.headers["Accept"]
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if name:
            self.requests[f"get {plural}"] += 1
            key = Key(namespace or "", name[0])
            found = [one for one in self.objects if one.kind == kind and key_of(one.body) == key]
            if not found:
                return web.json_response({"message": "not found"}, status=404)
            await response.prepare(request)
            await _write(response, found[0].pieces(metadata_only=only_metadata))
        elif "watch" in request.query:
            self.requests[f"watch {plural}"] += 1
            await response.prepare(request)
            events = [(what, one) for what, one in self.events if one.kind == kind]
            for what, one in events:
                await response.write(f'{{"type":"{what}","object":'.encode())
                await _write(response, one.pieces(metadata_only=only_metadata))
                await response.write(b"}\n")
            if events:
                self.told.set()
            await asyncio.sleep(60)
        else:
            self.requests[f"list {plural}"] += 1
            await response.prepare(request)
            await self._list(response, kind, request, only_metadata=only_metadata)
        return response

    async def _list(
        self, response: web.StreamResponse, kind: Kind, request: web.Request, *, only_metadata: bool
    ) -> None:
        found = [one for one in self.objects if one.kind == kind]
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "9999"))
        after = str(start + limit) if start + limit < len(found) else ""
        metadata = {"resourceVersion": "9"} | ({"continue": after} if after else {})
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        await response.write(f'{json.dumps(head, separators=(",", ":"))[:-1]},"items":['.encode())
        for number, one in enumerate(found[start : start + limit]):
            await response.write(b"," if number else b"")
            await _write(response, one.pieces(metadata_only=only_metadata, names=False))
        await response.write(b"]}")


async def _write(response: web.StreamResponse, pieces: Iterator[str]) -> None:
    for piece in pieces:
        await response.write(piece.encode())


@asynccontextmanager
async def listening(api: LargeApi) -> AsyncIterator[str]:
    """The address of this API."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def serving(api: LargeApi) -> AsyncIterator[tuple[AioKube, Lists]]:
    """The operator's clients of this API."""
    async with listening(api) as address:
        configuration = Configuration(host=address)
        async with open_session(configuration, 0, "test") as session:
            transport = Transport(configuration, session, concurrency=4)
            yield AioKube(transport), Lists(transport)
