"""Which FlameMCPServer an object belongs to, told by owner references and labels."""

from typing import Any

from flame_operator.resource.kinds import INSTANCE, SERVER, Key, Manifest
from flame_operator.resource.server import Server


def controller(child: Manifest) -> dict[str, Any] | None:
    """The owner reference of the object's controller, if it has one."""
    references = child["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def server_of(manifest: Manifest) -> Key:
    """The server whose child an object is, or that it is itself.

    Its owner says so, else its label; somebody may have removed either, and most children have the server's
    own name.
    """
    metadata = manifest["metadata"]
    owner = controller(manifest)
    if manifest["kind"] == SERVER.kind:
        name = metadata["name"]
    elif owner is not None and owner.get("kind") == SERVER.kind:
        name = owner["name"]
    else:
        name = (metadata.get("labels") or {}).get(INSTANCE) or metadata["name"]
    return Key(metadata["namespace"], name)


def is_ours(server: Server, child: Manifest) -> bool:
    """Whether `server` itself, not an older one of the same name, controls the object."""
    owner = controller(child)
    return owner is not None and owner.get("uid") == server.uid


def is_leftover(server: Server, child: Manifest) -> bool:
    """Whether the object belongs to a deleted server of the same name: garbage collection will remove it."""
    owner = controller(child)
    return owner is not None and (owner.get("kind"), owner.get("name")) == (SERVER.kind, server.key.name)


def is_of_another(server: Server, child: Manifest) -> bool:
    """Whether another server controls the object: `docs` may have a Qdrant, and `docs-qdrant` be a server."""
    owner = controller(child)
    return owner is not None and owner.get("kind") == SERVER.kind and owner.get("name") != server.key.name


def is_going(manifest: Manifest) -> bool:
    """Whether the object is being deleted."""
    return bool(manifest["metadata"].get("deletionTimestamp"))
