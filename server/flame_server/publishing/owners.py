"""Who owns an alias: its owner's name is kept with its collection, and nobody else moves it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_server.errors import FlameMcpError
from flame_server.qdrant.connection import METADATA, QdrantTarget
from flame_server.qdrant.generations import alias_target, owner_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from qdrant_client import AsyncQdrantClient


@dataclass(frozen=True)
class Owner:
    """Who publishes.

    Attributes:
        name: Kept with what is published; None is nobody in particular.
        take_over: The owner whose alias and collections may be taken. It names one owner, so that two who
            both keep it in their settings don't take turns.
    """

    name: str | None = None
    take_over: str | None = None

    def may_have(self, found: str | None) -> bool:
        """Whether something of the owner `found` may be moved and removed; what has no owner is adopted."""
        return found is None or found in {self.name, self.take_over}


NOBODY = Owner()


async def claim(
    client: "AsyncQdrantClient", target: QdrantTarget, owner: Owner, report: "Callable[[str], None]"
) -> str | None:
    """The collection that the alias points to, which says from now on that it is the owner's; None if none.

    Qdrant can't compare and swap: between this and a move that follows right after it, others have a moment.

    Raises:
        FlameMcpError: The alias belongs to somebody else, or a collection has its name.
    """
    current = await alias_target(client, target)
    if current is None:
        return None
    metadata = (await client.get_collection(current)).config.metadata or {}
    found = owner_in(metadata)
    if not owner.may_have(found):
        raise FlameMcpError(
            f"{target.collection} at {target.url} belongs to {found}, so it stays as it is. Give another "
            "name there (vectorStore.external.collection, --collection); or, if it is yours to take, take it "
            f"over (ingestion.takeOver: {found}, --take-over {found})"
        )
    kept = metadata.get(METADATA)
    # Without our entry it is another product's or a very old one: it is left as it is.
    if found != owner.name and isinstance(kept, dict):
        await client.update_collection(current, metadata={METADATA: {**kept, "owner": owner.name}})
        report(
            f"{target.collection} belonged to {found or 'nobody'} and belongs to {owner.name or 'nobody'} now"
        )
    return current
