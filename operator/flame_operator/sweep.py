"""Full lists: they fill the cache before the first reconcile, and later find what a broken watch missed."""

from collections.abc import Sequence

from flame_operator.cache import Cache
from flame_operator.kube import KubeApi
from flame_operator.model import CHILD_KINDS, MANAGER, SERVER, Key, Kind, key_of

CHILD_SELECTOR = f"app.kubernetes.io/managed-by={MANAGER}"


def selector(kind: Kind) -> str:
    """The label selector under which the operator lists and watches a kind."""
    return "" if kind == SERVER else CHILD_SELECTOR


async def sweep(api: KubeApi, cache: Cache, namespaces: Sequence[str] = ()) -> set[Key]:
    """Bring the cache up to what the API server has.

    Args:
        api: The cluster.
        cache: What is brought up to date.
        namespaces: Where to look; empty means everywhere.

    Returns:
        The servers that have changed, or of which a child has.
    """
    changed: set[Key] = set()
    for kind in (*CHILD_KINDS, SERVER):
        # What is older than this and isn't in the list has gone; what is newer came while the list was read.
        missing = cache.snapshot(kind.kind)
        for namespace in namespaces or (None,):
            async for body in api.list(kind, selector=selector(kind), namespace=namespace):
                missing.pop(key_of(body), None)
                if cache.put(body):
                    changed.add(key_of(body))
        changed |= cache.expire(kind.kind, missing)
    return changed
