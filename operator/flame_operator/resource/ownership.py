"""Determines from owner references and labels which FlameMCPServer an object belongs to."""

from typing import Any

from flame_operator.formats.shape import mappings
from flame_operator.resource.kinds import SERVER, Manifest
from flame_operator.resource.server import Server


def controller(child: Manifest) -> dict[str, Any] | None:
    """The owner reference that names the object's controller, or None when it has no controller."""
    references = mappings(child["metadata"].get("ownerReferences"))
    return next((reference for reference in references if reference.get("controller")), None)


def is_ours(server: Server, child: Manifest) -> bool:
    """Whether `server` controls the object: this very resource, not an older one of the same name."""
    owner = controller(child)
    return owner is not None and owner.get("uid") == server.uid


def is_leftover(server: Server, child: Manifest) -> bool:
    """Whether the object's controller is a FlameMCPServer with the name of `server`.

    When `is_ours` is false, this is an earlier resource that was deleted: garbage collection will remove the
    object.
    """
    owner = controller(child)
    return owner is not None and (owner.get("kind"), owner.get("name")) == (SERVER.kind, server.key.name)


def is_of_another(server: Server, child: Manifest) -> bool:
    """Whether a server with another name controls the object.

    Names can collide: `docs` may have a Qdrant while there is a server named `docs-qdrant`.
    """
    owner = controller(child)
    return owner is not None and owner.get("kind") == SERVER.kind and owner.get("name") != server.key.name


def is_going(manifest: Manifest) -> bool:
    """Whether the object is being deleted."""
    return bool(manifest["metadata"].get("deletionTimestamp"))
