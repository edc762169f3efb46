"""Plans the writes and deletions that turn the observed children into the desired ones. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from flame_operator.changes.compare import is_subset
from flame_operator.resource.annotations import APPLIED_HASH, OWNS_SECRET
from flame_operator.resource.kinds import SECRET, SERVICE, Manifest
from flame_operator.resource.ownership import is_going, is_leftover, is_ours
from flame_operator.resource.server import Server


@dataclass(frozen=True)
class Apply:
    """Write `manifest`. `uid` is the object it changes; None creates, and must not meet an object there."""

    manifest: Manifest
    uid: str | None


@dataclass(frozen=True)
class Delete:
    """Remove a child of ours that is no longer wanted, and no other object that has taken its name since."""

    child: Manifest


@dataclass(frozen=True)
class NameTaken:
    """An object that isn't ours has the name of a child: it is never touched."""

    child: Manifest


@dataclass(frozen=True)
class AwaitDeletion:
    """An old object with that name is being deleted: the pass that follows its end creates the child."""

    child: Manifest


Action = Apply | Delete | NameTaken | AwaitDeletion


def plan(server: Server, wanted: Iterable[Manifest], observed: Iterable[Manifest]) -> tuple[Action, ...]:
    """The actions that turn `observed` into `wanted`, in the order of `wanted`, then deletions."""
    live = {_slot(child): child for child in observed}
    actions: list[Action] = []
    for manifest in wanted:
        action = _towards(server, manifest, live.pop(_slot(manifest), None))
        if action is not None:
            actions.append(action)
    # A Secret first: what tells that there is one must not be gone before it.
    unwanted = [
        Delete(child)
        for child in sorted(live.values(), key=lambda child: child["kind"] != SECRET.kind)
        if is_ours(server, child) and not is_going(child)
    ]
    # Secrets aren't listed: only the Service's mark tells that there is one. So the mark comes before the
    # Secret does, and goes after it.
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
    annotations = live["metadata"].get("annotations") or {}
    current = annotations.get(APPLIED_HASH) == manifest["metadata"]["annotations"][APPLIED_HASH]
    if current and is_subset(manifest, live):
        return None
    return Apply(manifest, uid=live["metadata"]["uid"])


def _slot(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]
