"""Finds the live objects that have the names of a server's children, in the cache or by reading them."""

from collections.abc import Iterator

from flame_operator.api.kube import KubeApi
from flame_operator.formats.shape import at, mapping
from flame_operator.informer.cache import Cache
from flame_operator.resource.annotations import OWNS_SECRET
from flame_operator.resource.kinds import KINDS, QDRANT, SECRET, SERVICE, STATEFUL_SET, Key, Manifest, key_of
from flame_operator.resource.ownership import is_of_another, is_ours
from flame_operator.resource.server import Server
from flame_operator.resource.unions import generates_token, managed_qdrant


class Children:
    """Access to the live children of servers."""

    def __init__(self, api: KubeApi, cache: Cache) -> None:
        self._api = api
        self._cache = cache

    async def look(self, server: Server) -> None:
        """Read the objects that aren't watched: foreign objects with a child's name, and generated Secrets.

        Raises:
            Refused: The API server refuses a read.
            Unavailable: The API server doesn't answer.
        """
        for child in self._cache.children(server.key):
            if not is_ours(server, child) and not is_of_another(server, child):
                await self.read(child["kind"], key_of(child))
        service = self.known(server, SERVICE.kind)
        marked = service is not None and OWNS_SECRET in mapping(at(service, "metadata", "annotations"))
        if (marked or generates_token(server)) and self._cache.child(SECRET.kind, server.key) is None:
            await self.read(SECRET.kind, server.key)
        # The keys of a managed Qdrant are deleted after its StatefulSet: while it exists, they may, too.
        store = managed_qdrant(server) or self.known(server, STATEFUL_SET.kind, QDRANT)
        if store and self._cache.child(SECRET.kind, server.key, QDRANT) is None:
            await self.read(SECRET.kind, Key(server.key.namespace, server.key.name + QDRANT))

    async def read(self, kind: str, key: Key) -> None:
        """Read an object from the API server, and store the result in the cache."""
        self._cache.learn(kind, key, await self._api.get(KINDS[kind], key))

    def observed(self, server: Server) -> Iterator[Manifest]:
        """All known objects with the names of children, including foreign ones."""
        return self._cache.children(server.key)

    def known(self, server: Server, kind: str, suffix: str = "") -> Manifest | None:
        """The server's own child of a kind and name; None when there is none, or the object is foreign."""
        child = self._cache.child(kind, server.key, suffix)
        return child if child is not None and is_ours(server, child) else None
