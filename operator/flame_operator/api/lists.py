"""Lists and watches objects, in pages and lines whose size is bounded."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import NamedTuple

import structlog

from flame_operator.api import selected
from flame_operator.api.answers import checked
from flame_operator.api.calls import Answer, Call
from flame_operator.api.paging import OBJECT_BYTES, PAGE, PAGE_BYTES, next_limit, smaller_limit
from flame_operator.api.reading import Line, parsed_item
from flame_operator.api.transport import StreamRefused, Transport
from flame_operator.errors import TooLarge, Unavailable
from flame_operator.formats.shape import at, mappings, text
from flame_operator.resource.kinds import EVENT, POD, SERVER, Kind, Manifest, without_content

log = structlog.get_logger(__name__)

LIST_TIMEOUT = 60.0
EVENTS_TIMEOUT = 10.0
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MOST_PODS = 250
"""The most pods of a list; tenants decide how many have a server's labels."""
POD_BYTES = 2 * 1024 * 1024
"""How many bytes of a list of pods are read, after which no further page is; a common pod has 5 to 10 kB."""
MOST_EVENTS = 50
"""How many Events about an object are read, at most; Kubernetes counts repeats in one Event."""
_MESSAGE_LENGTH = 2400
"""How many characters of an Event's message are kept; the API server takes 1,024 of most."""
RESTARTS = 3
"""How often a list starts again because its pages have expired."""

_PARSERS = {SERVER: selected.servers, POD: selected.pods}
"""Kinds of which not the whole objects are read."""


class Page(NamedTuple):
    """One page of a list."""

    items: list[Manifest]
    version: str
    """The resource version of the list: a watch that starts here misses nothing that came after it."""


class Lists:
    """Reads lists and watches from the API server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def pages(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None, metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        """Iterate over all objects of a kind, page by page; see `KubeApi.list`.

        A page has at most `PAGE` objects and `PAGE_BYTES` bytes; only a single object may be larger.
        """
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        call = Call(
            "GET",
            kind.path(namespace),
            query,
            accept=METADATA_LIST if metadata_only else "application/json",
            timeout=LIST_TIMEOUT,
            most=OBJECT_BYTES,
            parse=_PARSERS.get(kind, parsed_item),
        )
        limit, version, restarts, objects, size = PAGE, "", 0, 0, 0
        while True:
            query["limit"] = str(limit)
            answer = await self._page(replace(call, query=query), limit)
            if answer is None:
                size += PAGE_BYTES
                limit = smaller_limit(limit)
                continue
            if answer.status == 410 and "continue" in query and restarts < RESTARTS:
                # Paging took longer than the API server keeps old versions. It offers to go on with newer
                # ones; a watch from the version of the first page tells of what has changed in between.
                restarts += 1
                _go_on(query, answer.body)
                continue
            page = checked(answer)
            if "items" not in page or "metadata" not in page:
                raise Unavailable(f"{call}: the answer isn't a list")
            version = version or page["metadata"].get("resourceVersion", "")
            yield Page([_item(kind, item) for item in page["items"] or ()], version)
            objects += len(page["items"] or ())
            size += answer.size
            if not page["metadata"].get("continue"):
                return
            if kind == POD and (objects >= MOST_PODS or size >= POD_BYTES):
                return
            _go_on(query, page)
            limit = next_limit(limit, answer.size)

    async def events_about(self, uid: str, namespace: str) -> list[Manifest]:
        """The Events about an object, at most `MOST_EVENTS`; see `KubeApi.events_about`."""
        query = {"fieldSelector": f"involvedObject.uid={uid}", "limit": str(MOST_EVENTS)}
        path, parse = EVENT.path(namespace), selected.events
        call = Call("GET", path, query, timeout=EVENTS_TIMEOUT, most=PAGE_BYTES, parse=parse)
        page = checked(await self._transport.request(call))
        return [slim_event(event) for event in mappings(page.get("items"))]

    async def _page(self, call: Call, limit: int) -> Answer | None:
        """One page; None when it is too large, and a smaller one has to be asked for."""
        try:
            if limit > 1:
                return await self._transport.request(replace(call, most=PAGE_BYTES))
            return await self._transport.request(call)
        except TooLarge:
            if limit > 1:
                return None
            log.warning("an object is too large to read", call=str(call))
            return await self._transport.request(replace(call, accept=METADATA_LIST, parse=parsed_item))

    async def watch(  # noqa: PLR0913 - as the API has them
        self,
        kind: Kind,
        *,
        version: str,
        seconds: int,
        selector: str = "",
        namespace: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[Line]:
        """Iterate over the events of a kind's objects, in the API server's own JSON.

        Args:
            kind: The kind.
            version: The resource version after which the events begin.
            seconds: After how many seconds the API server ends the watch.
            selector: A label selector; empty selects everything.
            namespace: Where to look; None means everywhere.
            metadata_only: Whether to leave out the content of objects.

        Raises:
            Conflict: The version is too old for the API server.
            Refused: The API server refuses the watch.
            Unavailable: The API server doesn't answer, or the watch broke off.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        if selector:
            query["labelSelector"] = selector
        accept = METADATA_ONLY if metadata_only else "application/json"
        try:
            async for line in self._transport.stream(Call("GET", kind.path(namespace), query, accept=accept)):
                yield line
        except StreamRefused as refused:
            checked(refused.answer)
            raise Unavailable(str(refused)) from refused


def _item(kind: Kind, item: Manifest) -> Manifest:
    if item.get("kind") == "PartialObjectMetadata" and kind != POD:
        return without_content(kind, item["metadata"])
    # Items of a list come without apiVersion and kind.
    return {**item, "apiVersion": kind.api_version, "kind": kind.kind}


def slim_event(event: Manifest) -> Manifest:
    """What the operator reads of an Event: its reason, its message, and when it last happened."""
    times = (at(event, "series", "lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return {
        "reason": text(event.get("reason")),
        "message": text(event.get("message"))[:_MESSAGE_LENGTH],
        "time": next((text(one) for one in times if text(one)), ""),
    }


def _go_on(query: dict[str, str], body: Manifest) -> None:
    """Change the query of a list so that it asks for what follows an answer, or starts again."""
    token = (body.get("metadata") or {}).get("continue")
    if token:
        query["continue"] = token
    else:
        query.pop("continue", None)
