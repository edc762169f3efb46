"""Plans the writes and deletions that turn the observed children into the desired ones. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from flame_operator.changes.compare import is_subset
from flame_operator.formats.shape import at
from flame_operator.resource.annotations import APPLIED_HASH, OWNS_SECRET
from flame_operator.resource.kinds import SECRET, SERVICE, Manifest
from flame_operator.resource.ownership import is_going, is_leftover, is_ours
from flame_operator.resource.server import Server


@dataclass(frozen=True)
class Apply:
    """Apply `manifest` to the object with `uid`; with None, create it, which fails if one already exists."""

    manifest: Manifest
    uid: str | None


@dataclass(frozen=True)
class Delete:
    """Delete a child that is no longer wanted, but no other object that has taken its name since."""

    child: Manifest


@dataclass(frozen=True)
class NameTaken:
    """Do nothing: a foreign object has the name of a child, and is never touched."""

    child: Manifest


@dataclass(frozen=True)
class AwaitDeletion:
    """Wait: an old object with the child's name is being deleted, and a later pass creates the child."""

    child: Manifest


Action = Apply | Delete | NameTaken | AwaitDeletion


def plan(server: Server, wanted: Iterable[Manifest], observed: Iterable[Manifest]) -> tuple[Action, ...]:
    """The actions that turn the observed children into the wanted ones.

    Args:
        server: The server.
        wanted: The desired children.
        observed: All live objects with the names of children, including foreign ones.

    Returns:
        Writes in the order of `wanted`, then deletions; only the Service may come out of order.
    """
    live = {_slot(child): child for child in observed}
    actions: list[Action] = []
    for manifest in wanted:
        action = _towards(server, manifest, live.pop(_slot(manifest), None))
        if action is not None:
            actions.append(action)
    # Secrets are deleted first: the objects that tell of a Secret must not be deleted before it.
    unwanted = [
        Delete(child)
        for child in sorted(live.values(), key=lambda child: child["kind"] != SECRET.kind)
        if is_ours(server, child) and not is_going(child)
    ]
    # Secrets aren't listed: only the Service's mark tells that a Secret exists. So the mark is set before the
    # Secret is made, and removed after it is deleted.
    first = [action for action in actions if _marks_secret(action)]
    last = [action for action in actions if unwanted and _is_service(action) and action not in first]
    between = [action for action in actions if action not in first and action not in last]
    return tuple(first + between + unwanted + last)


def _is_service(action: Action) -> bool:
    return isinstance(action, Apply) and action.manifest["kind"] == SERVICE.kind


def _marks_secret(action: Action) -> bool:
    return (
        isinstance(action, Apply)
        and _is_service(action)
        and OWNS_SECRET in action.manifest["metadata"]["annotations"]
    )


def _towards(server: Server, manifest: Manifest, live: Manifest | None) -> Action | None:
    if live is None:
        return Apply(manifest, uid=None)
    if not is_ours(server, live):
        return AwaitDeletion(live) if is_leftover(server, live) else NameTaken(live)
    if is_going(live):
        return AwaitDeletion(live)
    applied = at(live, "metadata", "annotations", APPLIED_HASH)
    if applied == manifest["metadata"]["annotations"][APPLIED_HASH] and is_subset(manifest, live):
        return None
    return Apply(manifest, uid=live["metadata"]["uid"])


def _slot(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]
