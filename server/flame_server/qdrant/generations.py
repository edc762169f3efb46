"""The collections of one alias: which are there, which one is searched, and which may go."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_server.errors import FlameMcpError
from flame_server.index.files import CHUNKS
from flame_server.index.manifest import Manifest, parse_manifest
from flame_server.qdrant.connection import METADATA, QdrantTarget

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient


@dataclass(frozen=True)
class Generation:
    """A collection that was published for an alias.

    Attributes:
        points: How many it holds.
    """

    name: str
    manifest: Manifest
    points: int

    @property
    def complete(self) -> bool:
        """Whether all chunks are there: whoever was killed while loading leaves fewer."""
        return self.points == self.manifest.chunks

    @property
    def age(self) -> tuple[str, str]:
        """Sorts the older first."""
        return self.manifest.created, self.name


async def behind_alias(client: "AsyncQdrantClient", target: QdrantTarget) -> str | None:
    """The collection that the alias means; None when there is no such alias.

    Raises:
        FlameMcpError: A collection has the alias's name.
    """
    names = {collection.name for collection in (await client.get_collections()).collections}
    if target.collection in names:
        raise FlameMcpError(
            f"{target.collection} is a collection at {target.url}, no alias: give another --collection"
        )
    aliases = {alias.alias_name: alias.collection_name for alias in (await client.get_aliases()).aliases}
    return aliases.get(target.collection)


async def generations(client: "AsyncQdrantClient", alias: str) -> Sequence[Generation]:
    """Those that say that they are of this alias, the oldest first."""
    found = []
    for collection in (await client.get_collections()).collections:
        if not collection.name.startswith(f"{alias}__"):
            continue
        kept = ((await client.get_collection(collection.name)).config.metadata or {}).get(METADATA, {})
        # Another alias may begin alike: only what says that it is ours counts.
        if kept.get("alias") != alias:
            continue
        try:
            manifest = parse_manifest(kept.get("manifest"), collection.name, "")
        except FlameMcpError:
            continue  # of another release, which may still be served
        points = (await client.count(collection.name, exact=True)).count
        found.append(Generation(collection.name, manifest, points))
    return sorted(found, key=lambda one: one.age)


def named(known: Collection[Generation], name: str | None) -> Generation | None:
    """The one of that name."""
    return next((one for one in known if one.name == name), None)


def previous(known: Collection[Generation], current: str | None) -> Generation | None:
    """What a rollback goes back to: the newest complete one that is older than the current one.

    One that was held back is newer, as long as it is there.
    """
    now = named(known, current)
    if now is None:
        return None
    return max(
        (one for one in known if one.complete and one.age < now.age), key=lambda one: one.age, default=None
    )


def same_content(one: Manifest, other: Manifest) -> bool:
    """Whether two indexes answer alike: the same chunks of the same revisions, with the same vectors."""
    return (one.checksums.get(CHUNKS), one.versions, one.embedding) == (
        other.checksums.get(CHUNKS), other.versions, other.embedding,
    )  # fmt: skip
