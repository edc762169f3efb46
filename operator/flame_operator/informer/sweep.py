"""Lists everything, to fill the cache before the first pass and later to find what a broken watch missed."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flame_operator.api.kube import KubeApi
from flame_operator.informer.cache import Cache
from flame_operator.resource.kinds import (
    CONTENT_BY_NAME,
    MANAGER,
    SERVER,
    WATCHED_KINDS,
    Key,
    Kind,
    Manifest,
    key_of,
)

CHILD_SELECTOR = f"app.kubernetes.io/managed-by={MANAGER}"

Scope = tuple[str, str]
"""What one watch covers: a kind, and a namespace, or "" for all namespaces."""


class Swept(NamedTuple):
    """The result of a sweep."""

    changed: set[Key]
    """The servers that have changed, or that have a changed child."""
    newest: dict[Scope, int]
    """The highest resource version in each watched scope that has objects."""


def everything(_: Manifest) -> bool:
    """Accept every server."""
    return True


def selector(kind: Kind) -> str:
    """The label selector with which the operator lists and watches a kind; empty selects everything."""
    return "" if kind == SERVER else CHILD_SELECTOR


async def sweep(
    api: KubeApi,
    cache: Cache,
    namespaces: Sequence[str] = (),
    unwatched: Sequence[Kind] = (),
    covers: Callable[[Manifest], bool] = everything,
) -> Swept:
    """List all servers and children, and bring the cache up to date.

    Args:
        api: The API of the cluster.
        cache: The cache to update.
        namespaces: Where to look; empty means everywhere.
        unwatched: Kinds of children to list besides those that are watched.
        covers: Which servers to take; others count as absent.

    Raises:
        Refused, Unavailable: A list failed.
    """
    found = Swept(set(), {})
    # Servers come first: the cache takes only children of servers that it knows.
    for kind in (SERVER, *unwatched, *WATCHED_KINDS):
        # Objects of this snapshot that aren't in the list are gone; newer ones came while the list was read.
        missing = {
            key: version
            for key, version in cache.snapshot(kind.kind).items()
            if not namespaces or key.namespace in namespaces
        }
        for namespace in namespaces or (None,):
            scope = (kind.kind, namespace or "")
            found_here = api.list(
                kind,
                selector=selector(kind),
                namespace=namespace,
                metadata_only=kind in CONTENT_BY_NAME,
            )
            async for body in found_here:
                if kind not in unwatched:
                    version = int(body["metadata"]["resourceVersion"])
                    found.newest[scope] = max(version, found.newest.get(scope, -1))
                if kind == SERVER and not covers(body):
                    continue
                missing.pop(key_of(body), None)
                if cache.put(body):
                    found.changed.update(cache.parents(kind.kind, key_of(body)))
        found.changed.update(cache.expire(kind.kind, missing))
    return found
