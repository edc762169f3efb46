"""The collections of one alias: which are there, which one is searched, and which may go."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flame_server.errors import FlameMcpError
from flame_server.index.files import CHUNKS
from flame_server.index.manifest import Manifest, parse_manifest
from flame_server.qdrant.connection import METADATA, GoneError, QdrantTarget

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
        try:
            one = await _generation(client, alias, collection.name)
        except GoneError:
            continue  # removed by another run in the meantime
        if one is not None:
            found.append(one)
    return sorted(found, key=lambda one: one.age)


async def _generation(client: "AsyncQdrantClient", alias: str, name: str) -> Generation | None:
    kept = ((await client.get_collection(name)).config.metadata or {}).get(METADATA, {})
    # Another alias may begin alike: only what says that it is ours counts.
    if kept.get("alias") != alias:
        return None
    try:
        manifest = parse_manifest(kept.get("manifest"), name, "")
    except FlameMcpError:
        return None  # of another release, which may still be served
    return Generation(name, manifest, (await client.count(name, exact=True)).count)


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
