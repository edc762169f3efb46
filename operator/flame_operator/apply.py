"""Carries out what has been planned for a server's children, and remembers what it finds."""

from collections.abc import Iterable

import structlog

from flame_operator.cache import Cache
from flame_operator.errors import Conflict, Invalid
from flame_operator.kube import KubeApi
from flame_operator.model import DEPLOYMENT, KINDS, MANAGER, Key, Manifest, Server
from flame_operator.plan import Action, Apply, Delete, corrections, is_ours, without_replicas

log = structlog.get_logger(__name__)


class Applier:
    """Writes children."""

    def __init__(self, api: KubeApi, cache: Cache) -> None:
        self._api = api
        self._cache = cache

    async def carry_out(self, server: Server, actions: Iterable[Action]) -> None:
        """Do the actions in their order; those that only say something are not for here.

        Raises:
            Conflict: An object is another than the cache had; the cache has been corrected.
            Refused: The API server refuses one; those before it are done.
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
                        await self._delete(server, child)
                        deleted.append(child["kind"])
        finally:
            if applied or deleted:
                log.info("reconciled", **server.key.fields(), applied=applied, deleted=deleted)

    async def look(self, kind: str, key: Key) -> None:
        """Replace what the cache knows of an object by what the API server says."""
        self._cache.learn(kind, key, await self._api.get(KINDS[kind], key))

    def known(self, server: Server, kind: str) -> Manifest | None:
        """The server's child of that kind, as the cache has it."""
        child = self._cache.child(kind, server.key)
        return child if child is not None and is_ours(server, child) else None

    async def _apply(self, server: Server, manifest: Manifest, uid: str | None) -> None:
        try:
            if manifest["kind"] == DEPLOYMENT.kind and uid and "replicas" not in manifest["spec"]:
                await self._leave_replicas(server)
            self._cache.put(await self._write(server, manifest, uid))
        except Conflict:
            await self.look(manifest["kind"], server.key)
            raise

    async def _write(self, server: Server, manifest: Manifest, uid: str | None) -> Manifest:
        """Apply, and remove what others have put into a list that is ours alone.

        Server-side apply leaves fields of other managers alone, so that a port that somebody renumbered stays
        beside ours, and the API server may even refuse the two together.
        """
        try:
            live = await self._api.apply(manifest, uid=uid)
        except Invalid:
            known = self.known(server, manifest["kind"])
            fixes = corrections(manifest, known) if known is not None and uid is not None else []
            if known is None or not fixes:
                raise
            await self._api.correct(known, fixes)
            return await self._api.apply(manifest, uid=uid)
        fixes = corrections(manifest, live)
        return await self._api.correct(live, fixes) if fixes else live

    async def _leave_replicas(self, server: Server) -> None:
        """Give up the Deployment's replicas without changing them, when they are ours.

        A field that an apply no longer names is removed, and replicas would fall back to 1 until the
        autoscaler notices. So the claim to the field goes first, and the field stays.
        """
        live = await self._api.get(DEPLOYMENT, server.key)
        if live is not None and (operations := without_replicas(live, MANAGER)):
            await self._api.correct(live, operations)

    async def _delete(self, server: Server, child: Manifest) -> None:
        try:
            await self._api.delete(child)
        except Conflict:
            await self.look(child["kind"], server.key)
            raise
        self._cache.learn(child["kind"], server.key, None)
