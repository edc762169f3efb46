"""Offers the requests to the Kubernetes API that the operator needs, and turns refusals into typed errors."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol

from flame_operator.api import selected
from flame_operator.api.answers import checked
from flame_operator.api.calls import CHILD_BYTES, MOST_BYTES, Answer, Call
from flame_operator.api.lists import METADATA_ONLY, Lists
from flame_operator.api.reading import parsed
from flame_operator.api.transport import Transport, unlimited
from flame_operator.errors import Conflict, NotFound
from flame_operator.resource.kinds import (
    EVENT,
    KINDS,
    LEASE,
    MANAGER,
    SERVER,
    Key,
    Kind,
    Manifest,
    key_of,
    without_content,
)

STATUS_MANAGER = f"{MANAGER}-status"
CONTENDING_MANAGER = f"{MANAGER}-contender"
"""Who writes the little that an installation says of a resource that another one handles."""
LEASE_TIMEOUT = 2.0
"""The timeout of requests for the Lease, in seconds.

It is short, so that a renewal can be tried twice before the Lease is lost.
"""
# No object has this resource version. An apply with it creates the object, or fails with 409 when one exists,
# so a foreign object is never overwritten, and no read is needed before the write.
ABSENT = "1"
Propagation = Literal["Background", "Foreground", "Orphan"]


class KubeApi(Protocol):
    """The requests to the API that the operator needs.

    Every method may raise `Refused`, `Conflict` or `Unavailable`.
    """

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Create or change an object by server-side apply; returns the live object.

        Args:
            manifest: All fields that the operator owns.
            uid: The object to change; None creates one.

        Raises:
            Conflict: The live object has another uid, or, with None, there already is one.
            TooLarge: The object has been written, and has more than `CHILD_BYTES`.
        """

    async def get(self, kind: Kind, key: Key, *, most: int = MOST_BYTES) -> Manifest | None:
        """The object with this key, or None when there is none: also if no object can have such a key.

        Raises:
            TooLarge: It has more than `most` bytes.
        """

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        """The object with this key without its content (`is_whole`), or None as with `get`."""

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster serves a kind."""

    def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None, metadata_only: bool = False
    ) -> AsyncIterator[Manifest]:
        """Iterate over all objects of a kind, page by page; an object may come twice.

        Args:
            kind: The kind.
            selector: A label selector; empty selects everything.
            namespace: Where to look; None means everywhere.
            metadata_only: Whether to leave out the content. It is also left out of an object that alone is
                too large for an answer. `is_whole` tells.
        """

    async def events_about(self, uid: str, namespace: str) -> Sequence[Manifest]:
        """Events about an object, as dicts with `reason`, `message` and `time`; not all if there are many.

        Args:
            uid: The object's uid.
            namespace: The object's namespace.
        """

    async def correct(self, child: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """Change exactly this version of an object by JSON Patch (RFC 6902); returns the live object.

        Raises:
            Conflict: The object has changed since.
        """

    async def delete(self, child: Manifest, *, propagation: Propagation = "Background") -> None:
        """Delete exactly this object; no error when it is already gone.

        Args:
            child: The object.
            propagation: What happens to the objects that it owns: `Background` deletes them after it,
                `Foreground` before it, `Orphan` leaves them.

        Raises:
            Conflict: Another object has its name now.
        """

    async def patch_status(
        self, server: Manifest, status: Manifest, *, manager: str = STATUS_MANAGER, exact: bool = False
    ) -> Manifest | None:
        """Apply the status of a resource; returns the live resource, or None when it is gone.

        Args:
            server: The resource.
            status: All fields of the status that the field manager owns.
            manager: The field manager.
            exact: Whether to write only to this very version of the resource.

        Raises:
            Conflict: With `exact`, the resource has changed since.
        """


class AioKube:
    """Implements `KubeApi` on a `Transport`, with plain dicts instead of the official client's models.

    Args:
        transport: Sends the requests.
        valid_for: Returns for how many seconds from now this process may write. A write that takes longer is
            given up, here and by the API server; with no seconds left, none is started.
    """

    def __init__(self, transport: Transport, *, valid_for: Callable[[], float] = unlimited) -> None:
        self._transport = transport
        self._lists = Lists(transport)
        self._valid_for = valid_for

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Create or change an object by server-side apply; see `KubeApi.apply`."""
        precondition = {"uid": uid} if uid else {"resourceVersion": ABSENT}
        body = {**manifest, "metadata": {**manifest["metadata"], **precondition}}
        return await self._apply(_path(manifest), body, MANAGER, most=CHILD_BYTES)

    async def get(self, kind: Kind, key: Key, *, most: int = MOST_BYTES) -> Manifest | None:
        """The object with this key, or None; see `KubeApi.get`."""
        return await self._get(Call("GET", kind.path(*key), most=most)) if key.can_exist else None

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        """The metadata of the object with this key, or None; see `KubeApi.get_metadata`."""
        if not key.can_exist:
            return None
        call = Call("GET", kind.path(*key), accept=METADATA_ONLY, parse=selected.metadata)
        found = await self._get(call)
        return found and without_content(kind, found["metadata"])

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster serves a kind; see `KubeApi.serves`."""
        found = await self._get(Call("GET", f"/apis/{kind.api_version}"))
        return any(one["name"] == kind.plural for one in (found or {}).get("resources", []))

    async def _get(self, call: Call) -> Manifest | None:
        answer = await self._request(call)
        return None if answer.status == 404 else checked(answer)

    async def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None, metadata_only: bool = False
    ) -> AsyncIterator[Manifest]:
        """Iterate over all objects of a kind; see `KubeApi.list`."""
        async for page in self._lists.pages(
            kind, selector=selector, namespace=namespace, metadata_only=metadata_only
        ):
            for item in page.items:
                yield item

    async def events_about(self, uid: str, namespace: str) -> Sequence[Manifest]:
        """The Events about an object; see `KubeApi.events_about`."""
        return await self._lists.events_about(uid, namespace)

    async def correct(self, child: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """Change exactly this version of an object by JSON Patch; see `KubeApi.correct`."""
        version = child["metadata"]["resourceVersion"]
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        call = Call(
            "PATCH",
            _path(child),
            {"fieldManager": MANAGER},
            [unchanged, *operations],
            content_type="application/json-patch+json",
            most=CHILD_BYTES,
        )
        answer = await self._request(call)
        if answer.status == 422 and "test" in str(answer.body.get("message")):
            raise Conflict(str(answer.body["message"]))
        return checked(answer)

    async def delete(self, child: Manifest, *, propagation: Propagation = "Background") -> None:
        """Delete exactly this object; see `KubeApi.delete`."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": child["metadata"]["uid"]},
            "propagationPolicy": propagation,
        }
        answer = await self._request(Call("DELETE", _path(child), body=body, parse=selected.nothing))
        if answer.status != 404:
            checked(answer)

    async def patch_status(
        self, server: Manifest, status: Manifest, *, manager: str = STATUS_MANAGER, exact: bool = False
    ) -> Manifest | None:
        """Apply the status of a resource; see `KubeApi.patch_status`."""
        key, metadata = key_of(server), server["metadata"]
        body = {
            "apiVersion": SERVER.api_version,
            "kind": SERVER.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "uid": metadata["uid"],
                **({"resourceVersion": metadata["resourceVersion"]} if exact else {}),
            },
            "status": status,
        }
        try:
            path = f"{SERVER.path(*key)}/status"
            return await self._apply(path, body, manager, parse=selected.server)
        except NotFound:
            return None

    async def post_event(self, event: Manifest) -> None:
        """Create or update an Event; see `EventApi` in `status.recorder`."""
        await self._apply(EVENT.path(*key_of(event)), event, MANAGER, parse=selected.nothing)

    async def _apply(
        self,
        path: str,
        body: Manifest,
        manager: str,
        *,
        most: int = MOST_BYTES,
        parse: Callable[[bytes], Manifest] = parsed,
    ) -> Manifest:
        call = Call(
            "PATCH",
            path,
            {"fieldManager": manager, "force": "true"},
            body,
            content_type="application/apply-patch+yaml",
            most=most,
            parse=parse,
        )
        return checked(await self._request(call))

    async def _request(self, call: Call) -> Answer:
        return await self._transport.request(call, self._valid_for)


class Leases:
    """Reads and writes the operator's Lease. Requests wait for no others, and each is tried only once."""

    def __init__(self, transport: Transport, key: Key) -> None:
        self._transport = transport
        self._key = key

    async def read(self) -> Manifest | None:
        """The Lease, or None when there is none.

        Raises:
            Refused: The API server refuses the request.
            Unavailable: The API server doesn't answer.
        """
        answer = await self._transport.once(Call("GET", LEASE.path(*self._key), timeout=LEASE_TIMEOUT))
        return None if answer.status == 404 else checked(answer)

    async def write(self, spec: Manifest, known: Manifest | None) -> Manifest:
        """Write a new spec to the Lease, or create the Lease; returns the live Lease.

        Args:
            spec: The Lease's new spec.
            known: The version that may be overwritten; None creates the Lease.

        Raises:
            Conflict: The live Lease has another version, or, for a creation, there already is one.
            NotFound: There is no such Lease, or no namespace for it.
            Refused: The API server refuses the request.
            Unavailable: The API server doesn't answer.
        """
        namespace, name = self._key
        new = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"name": name}}
        body = {**(known or new), "spec": spec}
        method, path = ("POST", LEASE.path(namespace)) if known is None else ("PUT", LEASE.path(*self._key))
        return checked(await self._transport.once(Call(method, path, body=body, timeout=LEASE_TIMEOUT)))


def _path(manifest: Manifest) -> str:
    return KINDS[manifest["kind"]].path(*key_of(manifest))
