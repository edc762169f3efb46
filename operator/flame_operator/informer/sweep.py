"""Full lists: they fill the cache before the first reconcile, and later find what a broken watch missed."""

from collections.abc import Sequence
from typing import NamedTuple

from flame_operator.api.kube import KubeApi
from flame_operator.informer.cache import Cache
from flame_operator.resource.kinds import MANAGER, SERVER, WATCHED_KINDS, Key, Kind, key_of
from flame_operator.resource.ownership import server_of

CHILD_SELECTOR = f"app.kubernetes.io/managed-by={MANAGER}"

Scope = tuple[str, str]
"""What one watch covers: a kind, and a namespace or "" for all."""


class Swept(NamedTuple):
    """What a sweep found."""

    changed: set[Key]
    """The servers that have changed, or of which a child has."""
    newest: dict[Scope, int]
    """The highest resource version of any object in each scope that is watched and has one."""


def selector(kind: Kind) -> str:
    """The label selector under which the operator lists and watches a kind."""
    return "" if kind == SERVER else CHILD_SELECTOR


async def sweep(
    api: KubeApi, cache: Cache, namespaces: Sequence[str] = (), unwatched: Sequence[Kind] = ()
) -> Swept:
    """Bring the cache up to what the API server has.

    Args:
        api: The cluster.
        cache: What is brought up to date.
        namespaces: Where to look; empty means everywhere.
        unwatched: Kinds of children to look for besides those that are watched.
    """
    found = Swept(set(), {})
    for kind in (*unwatched, *WATCHED_KINDS, SERVER):
        # What is older than this and isn't in the list has gone; what is newer came while the list was read.
        missing = cache.snapshot(kind.kind)
        for namespace in namespaces or (None,):
            scope = (kind.kind, namespace or "")
            async for body in api.list(kind, selector=selector(kind), namespace=namespace):
                missing.pop(key_of(body), None)
                if kind not in unwatched:
                    version = int(body["metadata"]["resourceVersion"])
                    found.newest[scope] = max(version, found.newest.get(scope, -1))
                if cache.put(body):
                    found.changed.add(server_of(body))
        found.changed.update(cache.expire(kind.kind, missing))
    return found
