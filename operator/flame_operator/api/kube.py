"""The Kubernetes API in the operator's words."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol

from flame_operator.api.transport import Answer, Call, Transport, unlimited
from flame_operator.errors import Conflict, Forbidden, Invalid, NamespaceTerminating, NotFound, Refused
from flame_operator.resource.kinds import EVENT, KINDS, LEASE, MANAGER, SERVER, Key, Kind, Manifest, key_of

STATUS_MANAGER = f"{MANAGER}-status"
PAGE = 250
LIST_TIMEOUT = 60.0
LEASE_TIMEOUT = 2.0
"""Seconds; short, so that a renewal can be tried twice before the lease is lost."""
# No object has this version. An apply that asks for it creates, or fails with 409 when something is there, so
# that a foreign object is never overwritten, and no read is needed before the write.
ABSENT = "1"
Propagation = Literal["Background", "Foreground", "Orphan"]
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class KubeApi(Protocol):
    """What the operator needs of the API. Every method may raise `Refused`, `Conflict` or `Unavailable`."""

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Server-side apply; returns the live object.

        Args:
            manifest: All fields that the operator owns.
            uid: The object to change; None creates one.

        Raises:
            Conflict: The object there isn't the one with that uid, or, for a creation, there is one.
        """

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """One object, or None when there is none."""

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        """One object's metadata without the rest of it, or None when there is no such object."""

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster knows a kind."""

    def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None
    ) -> AsyncIterator[Manifest]:
        """All objects of a kind, in one namespace or everywhere, page by page; some may come twice."""

    async def correct(self, child: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """JSON Patch (RFC 6902) of exactly this version of the object; returns the live object.

        Raises:
            Conflict: The object has changed since.
        """

    async def delete(self, child: Manifest, *, propagation: Propagation = "Background") -> None:
        """Delete exactly this object; not an error when it is gone.

        Args:
            child: The object.
            propagation: What becomes of what it owns: deleted after it, deleted before it, or left.

        Raises:
            Conflict: Another object has its name now.
        """

    async def patch_status(self, server: Manifest, status: Manifest) -> Manifest | None:
        """Apply a server's status; returns the live server, or None when it is gone."""


class AioKube:
    """`KubeApi` on the official asyncio client, with plain dicts instead of its models.

    Args:
        transport: What sends the requests.
        valid_for: For how many seconds from now this process may write. A write that takes longer is given
            up, by the API server too, and none is begun when there are none left.
    """

    def __init__(self, transport: Transport, *, valid_for: Callable[[], float] = unlimited) -> None:
        self._transport = transport
        self._valid_for = valid_for

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """See `KubeApi`."""
        precondition = {"uid": uid} if uid else {"resourceVersion": ABSENT}
        body = {**manifest, "metadata": {**manifest["metadata"], **precondition}}
        return await self._apply(_path(manifest), body, MANAGER)

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """See `KubeApi`."""
        return await self._get(Call("GET", kind.path(*key)))

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        """See `KubeApi`."""
        return await self._get(Call("GET", kind.path(*key), accept=METADATA_ONLY))

    async def serves(self, kind: Kind) -> bool:
        """See `KubeApi`."""
        found = await self._get(Call("GET", f"/apis/{kind.api_version}"))
        return any(one["name"] == kind.plural for one in (found or {}).get("resources", []))

    async def _get(self, call: Call) -> Manifest | None:
        answer = await self._request(call)
        return None if answer.status == 404 else _checked(answer)

    async def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None
    ) -> AsyncIterator[Manifest]:
        """See `KubeApi`."""
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            answer = await self._request(Call("GET", kind.path(namespace), query, timeout=LIST_TIMEOUT))
            if answer.status == 410 and "continue" in query:
                # Paging took longer than the server keeps old versions: from the start, in one piece.
                query = {name: value for name, value in query.items() if name not in ("continue", "limit")}
                continue
            page = _checked(answer)
            for item in page["items"]:
                # Items of a list don't say what they are.
                yield {**item, "apiVersion": kind.api_version, "kind": kind.kind}
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def correct(self, child: Manifest, operations: Sequence[Manifest]) -> Manifest:
        """See `KubeApi`."""
        version = child["metadata"]["resourceVersion"]
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        call = Call(
            "PATCH",
            _path(child),
            {"fieldManager": MANAGER},
            [unchanged, *operations],
            content_type="application/json-patch+json",
        )
        answer = await self._request(call)
        if answer.status == 422 and "test" in str(answer.body.get("message")):
            raise Conflict(str(answer.body["message"]))
        return _checked(answer)

    async def delete(self, child: Manifest, *, propagation: Propagation = "Background") -> None:
        """See `KubeApi`."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": child["metadata"]["uid"]},
            "propagationPolicy": propagation,
        }
        answer = await self._request(Call("DELETE", _path(child), body=body))
        if answer.status != 404:
            _checked(answer)

    async def patch_status(self, server: Manifest, status: Manifest) -> Manifest | None:
        """See `KubeApi`."""
        key, metadata = key_of(server), server["metadata"]
        body = {
            "apiVersion": SERVER.api_version,
            "kind": SERVER.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": metadata["uid"]},
            "status": status,
        }
        try:
            return await self._apply(f"{SERVER.path(*key)}/status", body, STATUS_MANAGER)
        except NotFound:
            return None

    async def post_event(self, event: Manifest) -> None:
        """See `events.EventApi`."""
        await self._apply(EVENT.path(*key_of(event)), event, MANAGER)

    async def _apply(self, path: str, body: Manifest, manager: str) -> Manifest:
        query = {"fieldManager": manager, "force": "true"}
        call = Call("PATCH", path, query, body, content_type="application/apply-patch+yaml")
        return _checked(await self._request(call))

    async def _request(self, call: Call) -> Answer:
        return await self._transport.request(call, self._valid_for)


class Leases:
    """The one Lease of this operator. Its requests wait for no others, and each is tried once."""

    def __init__(self, transport: Transport, key: Key) -> None:
        self._transport = transport
        self._key = key

    async def read(self) -> Manifest | None:
        """The Lease, or None when there is none.

        Raises:
            Refused: The API server doesn't allow it.
            Unavailable: The API server doesn't answer.
        """
        answer = await self._transport.once(Call("GET", LEASE.path(*self._key), timeout=LEASE_TIMEOUT))
        return None if answer.status == 404 else _checked(answer)

    async def write(self, spec: Manifest, known: Manifest | None) -> Manifest:
        """Give the known version of the Lease another spec, or create one; returns the live one.

        Raises:
            Conflict: There is another version, or already one.
            NotFound: There is none, or no namespace for it.
            Refused: The API server doesn't allow it.
            Unavailable: The API server doesn't answer.
        """
        namespace, name = self._key
        new = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"name": name}}
        body = {**(known or new), "spec": spec}
        method, path = ("POST", LEASE.path(namespace)) if known is None else ("PUT", LEASE.path(*self._key))
        return _checked(await self._transport.once(Call(method, path, body=body, timeout=LEASE_TIMEOUT)))


def _checked(answer: Answer) -> Manifest:
    """The object that was answered, or the error in our words."""
    if answer.status < 300:
        return answer.body
    message = str(answer.body.get("message") or f"HTTP status {answer.status}")
    causes: list[dict[str, str]] = (answer.body.get("details") or {}).get("causes") or []
    # Another object has the name: for an apply that is 422 on the immutable uid, for a delete 409.
    if answer.status in (409, 410) or any(cause.get("field") == "metadata.uid" for cause in causes):
        raise Conflict(message)
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        raise NamespaceTerminating(message)
    raise {403: Forbidden, 404: NotFound, 422: Invalid}.get(answer.status, Refused)(message)


def _path(manifest: Manifest) -> str:
    return KINDS[manifest["kind"]].path(*key_of(manifest))
