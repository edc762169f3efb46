"""Carries out a plan for a server's children, and stores the answers in the cache."""

from collections.abc import Iterable, Iterator

import structlog

from flame_operator.api.calls import CHILD_BYTES
from flame_operator.api.kube import KubeApi
from flame_operator.changes.children import Children
from flame_operator.changes.compare import corrections, grows, storage_of, without_replicas
from flame_operator.changes.plan import Action, Apply, Delete
from flame_operator.errors import Conflict, Invalid, Refused, TooLarge
from flame_operator.formats.quantity import is_smaller
from flame_operator.formats.shape import at, text
from flame_operator.informer.cache import Cache
from flame_operator.resource.kinds import (
    DEPLOYMENT,
    MANAGER,
    STATEFUL_SET,
    VOLUME_CLAIM,
    Key,
    Manifest,
    key_of,
)
from flame_operator.resource.server import Server

log = structlog.get_logger(__name__)

STORAGE = ("spec", "resources", "requests", "storage")
"""Where the size of a volume claim is."""


class Applier:
    """Writes and deletes children."""

    def __init__(self, api: KubeApi, cache: Cache, children: Children) -> None:
        self._api = api
        self._cache = cache
        self._children = children

    async def carry_out(self, server: Server, actions: Iterable[Action]) -> None:
        """Carry out the writes and deletions among the actions, in their order.

        Raises:
            Conflict: A live object isn't the one in the cache; the cache has been corrected.
            Refused: The API server refuses an action; those before it have been carried out.
            Unavailable: The API server doesn't answer.
        """
        applied: list[str] = []
        deleted: list[str] = []
        try:
            for action in actions:
                match action:
                    case Apply(manifest, uid):
                        await self._apply(server, manifest, uid)
                        applied.append(manifest["kind"])
                    case Delete(child):
                        await self._delete(child)
                        deleted.append(child["kind"])
        finally:
            if applied or deleted:
                log.info("reconciled", **server.key.fields(), applied=applied, deleted=deleted)

    async def _apply(self, server: Server, manifest: Manifest, uid: str | None) -> None:
        try:
            known = self._children.known(server, manifest["kind"], _suffix(server, manifest))
            if manifest["kind"] == STATEFUL_SET.kind and known is not None and grows(manifest, known):
                await self._grow(manifest, known)
                return
            if manifest["kind"] == DEPLOYMENT.kind and uid and "replicas" not in manifest["spec"]:
                await self._leave_replicas(server)
            if manifest["kind"] == STATEFUL_SET.kind and uid is None:
                await self._grow_kept(manifest)
            self._cache.put(await self._write(server, manifest, uid))
        except Conflict:
            await self._children.read(manifest["kind"], key_of(manifest))
            raise
        except TooLarge as error:
            # It has been written; of what others have made so large, only who it is gets known.
            await self._children.read(manifest["kind"], key_of(manifest))
            raise Conflict(str(error)) from error

    async def _write(self, server: Server, manifest: Manifest, uid: str | None) -> Manifest:
        """Apply a child, and remove what others have added to lists that belong to the operator alone.

        Server-side apply leaves fields of other managers alone. So a port that somebody has renumbered stays
        beside the operator's, and the API server may even refuse the two together.
        """
        try:
            live = await self._api.apply(manifest, uid=uid)
        except Invalid:
            known = self._children.known(server, manifest["kind"], _suffix(server, manifest))
            fixes = corrections(manifest, known) if known is not None and uid is not None else []
            if known is None or not fixes:
                raise
            await self._api.correct(known, fixes)
            return await self._api.apply(manifest, uid=uid)
        fixes = corrections(manifest, live)
        return await self._api.correct(live, fixes) if fixes else live

    async def _grow(self, wanted: Manifest, known: Manifest) -> None:
        """Enlarge the volumes of a StatefulSet, which can't do so itself: its volume templates are immutable.

        The volumes come first. Then the StatefulSet is deleted without its pods, and the pass that its
        deletion triggers creates the new one. If the operator ends in between, the next one finds the old
        StatefulSet and begins again.

        Raises:
            Refused: The volumes' storage class doesn't allow it.
        """
        for key, size in claims(wanted, known):
            claim = await self._api.get(VOLUME_CLAIM, key, most=CHILD_BYTES)
            if claim is not None and at(claim, *STORAGE) != size:
                await self._resize(claim, size)
        await self._api.delete(known, propagation="Orphan")
        await self._children.read(known["kind"], key_of(known))

    async def _grow_kept(self, wanted: Manifest) -> None:
        """Enlarge volumes that are smaller than a new StatefulSet's: those of an earlier one that were kept.

        The StatefulSet would take them as they are, and nothing would tell that they are smaller.

        Raises:
            Refused: The volumes' storage class doesn't allow it.
        """
        for key, size in claims(wanted, wanted):
            claim = await self._api.get(VOLUME_CLAIM, key)
            has = text(at(claim, *STORAGE))
            if claim is None or not is_smaller(has, size):
                continue
            try:
                await self._resize(claim, size)
            except Refused as refused:
                raise Refused(
                    f"The volume claim {key.name} was kept from before with {has}, the spec asks for {size}, "
                    f"and it can't grow: {refused}. Delete the claim with its data, or delete this resource "
                    f"and apply it with storage.size: {has}."
                ) from refused

    async def _resize(self, claim: Manifest, size: str) -> None:
        path = f"/{'/'.join(STORAGE)}"
        await self._api.correct(claim, [{"op": "replace", "path": path, "value": size}])

    async def _leave_replicas(self, server: Server) -> None:
        """Give up the ownership of the Deployment's `replicas`, if the operator has it, and keep their value.

        A field that an apply no longer contains is removed, and `replicas` would fall back to 1 until the
        autoscaler notices. So the ownership of the field is removed first, and the field stays.
        """
        live = await self._api.get(DEPLOYMENT, server.key, most=CHILD_BYTES)
        if live is not None and (operations := without_replicas(live, MANAGER)):
            await self._api.correct(live, operations)

    async def _delete(self, child: Manifest) -> None:
        try:
            await self._api.delete(child)
        except Conflict:
            await self._children.read(child["kind"], key_of(child))
            raise
        self._cache.learn(child["kind"], key_of(child), None)


def claims(wanted: Manifest, known: Manifest) -> Iterator[tuple[Key, str]]:
    """The keys of the volume claims of a StatefulSet's pods, and the size that each has to have.

    The number of pods is that of the spec, which has a bound: anybody may scale the live one to two thousand
    million pods, and each of them would cost a request.
    """
    new, old = storage_of(wanted), storage_of(known)
    if new is not None and old is not None:
        namespace, name = key_of(known)
        for pod in range(wanted["spec"]["replicas"]):
            yield Key(namespace, f"{old[0]}-{name}-{pod}"), new[1]


def _suffix(server: Server, manifest: Manifest) -> str:
    name: str = manifest["metadata"]["name"]
    return name.removeprefix(server.key.name)
