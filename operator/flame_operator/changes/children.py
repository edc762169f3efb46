"""Finds the live objects that have the names of a server's children, in the cache or by reading them."""

from collections.abc import Callable, Iterator

from flame_operator.api.calls import CHILD_BYTES
from flame_operator.api.kube import KubeApi
from flame_operator.changes.pace import Pace
from flame_operator.errors import TooLarge
from flame_operator.formats.shape import at, mapping
from flame_operator.informer.cache import Cache
from flame_operator.resource.annotations import OWNS_SECRET
from flame_operator.resource.kinds import KINDS, QDRANT, SECRET, SERVICE, STATEFUL_SET, Key, Manifest, key_of
from flame_operator.resource.ownership import is_of_another, is_ours
from flame_operator.resource.server import Server
from flame_operator.resource.unions import generates_token, managed_qdrant


class Children:
    """Access to the live children of servers.

    Args:
        api: The API of the cluster.
        cache: The newest known versions of the children.
        later: Has a server looked at again in so many seconds.
        pace: Spreads the reads of children that change all the time.
    """

    def __init__(
        self,
        api: KubeApi,
        cache: Cache,
        later: Callable[[Key, float], None] = lambda _key, _seconds: None,
        pace: Pace | None = None,
    ) -> None:
        self._api = api
        self._cache = cache
        self._later = later
        self._pace = pace or Pace()

    async def look(self, server: Server) -> None:
        """Read what isn't watched: foreign objects with a child's name, generated Secrets, and new content.

        Raises:
            Refused: The API server refuses a read.
            Unavailable: The API server doesn't answer.
        """
        for child in self._cache.children(server.key):
            if not is_ours(server, child) and not is_of_another(server, child):
                await self.read(child["kind"], key_of(child))
        await self._read_changed(server.key)
        service = self.known(server, SERVICE.kind)
        marked = service is not None and OWNS_SECRET in mapping(at(service, "metadata", "annotations"))
        if (marked or generates_token(server)) and self._cache.child(SECRET.kind, server.key) is None:
            await self.read(SECRET.kind, server.key)
        # The keys of a managed Qdrant are deleted after its StatefulSet: while it exists, they may, too.
        store = managed_qdrant(server) or self.known(server, STATEFUL_SET.kind, QDRANT)
        if store and self._cache.child(SECRET.kind, server.key, QDRANT) is None:
            await self.read(SECRET.kind, Key(server.key.namespace, server.key.name + QDRANT))

    async def _read_changed(self, server: Key) -> None:
        """Read children of which there are newer versions; until a read's turn comes, the old one counts."""
        for kind, key in self._cache.unread(server):
            wait = self._pace.wait(key.namespace, (kind, key.name)) if self._cache.has_read(kind, key) else 0
            if wait > 0:
                self._later(server, wait)
            else:
                await self.read(kind, key)

    async def read(self, kind: str, key: Key) -> None:
        """Read an object from the API server, and store the result in the cache.

        Of an object that is too large only who it is gets stored, as of a foreign one.
        """
        noted = self._cache.begin_read(kind, key)
        try:
            live = await self._read(kind, key)
        except BaseException:
            self._cache.note(kind, key, noted)
            raise
        self._cache.learn(kind, key, live)

    async def _read(self, kind: str, key: Key) -> Manifest | None:
        try:
            return await self._api.get(KINDS[kind], key, most=CHILD_BYTES)
        except TooLarge:
            return await self._api.get_metadata(KINDS[kind], key)

    def observed(self, server: Server) -> Iterator[Manifest]:
        """All known objects with the names of children, including foreign ones."""
        return self._cache.children(server.key)

    def known(self, server: Server, kind: str, suffix: str = "") -> Manifest | None:
        """The server's own child of a kind and name; None when there is none, or the object is foreign."""
        child = self._cache.child(kind, server.key, suffix)
        return child if child is not None and is_ours(server, child) else None
