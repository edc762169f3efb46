"""The collections of one alias: which exist, which one the alias points to, and which came before."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_server.errors import FlameMcpError
from flame_server.index.files import CHUNKS
from flame_server.index.manifest import Manifest, parse_manifest
from flame_server.qdrant.connection import METADATA, GoneError, QdrantTarget

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient


MAX_OWNER = 192
"""How many characters the name of an owner has at most."""


@dataclass(frozen=True)
class Generation:
    """A collection that was published for an alias.

    Attributes:
        points: The number of chunks that it holds.
        owner: Who published it; None when it doesn't say.
    """

    name: str
    manifest: Manifest
    points: int
    owner: str | None = None

    @property
    def complete(self) -> bool:
        """Whether all chunks are there: an interrupted run leaves fewer."""
        return self.points == self.manifest.chunks

    @property
    def age(self) -> tuple[str, str]:
        """Sort key: older ones first."""
        return self.manifest.created, self.name


async def alias_target(client: "AsyncQdrantClient", target: QdrantTarget) -> str | None:
    """The collection that the alias points to; None when there is no such alias.

    Raises:
        FlameMcpError: A collection has the name of the alias.
    """
    names = {collection.name for collection in (await client.get_collections()).collections}
    if target.collection in names:
        raise FlameMcpError(
            f"{target.collection} is a collection at {target.url}, not an alias: give another --collection"
        )
    aliases = {alias.alias_name: alias.collection_name for alias in (await client.get_aliases()).aliases}
    return aliases.get(target.collection)


async def move_alias(client: "AsyncQdrantClient", alias: str, name: str, *, replaces: bool) -> None:
    """Points the alias to the collection `name`, in one request, so that readers never find it missing."""
    from qdrant_client import models  # noqa: PLC0415 - see connect

    create = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
    )
    delete = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
    await client.update_collection_aliases([delete, create] if replaces else [create])


async def generations(client: "AsyncQdrantClient", alias: str) -> Sequence[Generation]:
    """The collections that were published for this alias, the oldest first."""
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
    metadata = (await client.get_collection(name)).config.metadata or {}
    kept = metadata.get(METADATA)
    # Another alias may have the same prefix, so the alias in the metadata decides.
    if not isinstance(kept, dict) or kept.get("alias") != alias:
        return None
    try:
        manifest = parse_manifest(kept.get("manifest"), name, "")
    except FlameMcpError:
        return None  # published by another release, which may still serve it
    points = (await client.count(name, exact=True)).count
    return Generation(name, manifest, points, owner_in(metadata))


def owner_in(metadata: Mapping[str, Any]) -> str | None:
    """The owner that a collection's metadata names; None when it names none.

    Whoever may write to Qdrant may have written it, and it is shown to people: only plain characters remain.
    """
    kept = metadata.get(METADATA)
    found = kept.get("owner") if isinstance(kept, dict) else None
    if found is None:
        return None
    return "".join(one for one in str(found)[:MAX_OWNER] if one.isprintable()) or "?"


def named(known: Collection[Generation], name: str | None) -> Generation | None:
    """The generation with that name, or None."""
    return next((one for one in known if one.name == name), None)


def previous(known: Collection[Generation], current: str | None) -> Generation | None:
    """The generation that a rollback returns to: the newest complete one that is older than the current one.

    A generation that was held back is newer than the current one, so it is never chosen.
    """
    now = named(known, current)
    if now is None:
        return None
    return max(
        (one for one in known if one.complete and one.age < now.age), key=lambda one: one.age, default=None
    )


def same_content(one: Manifest, other: Manifest) -> bool:
    """Whether two indexes give the same answers: same chunks, same revisions, same embedding."""
    return (one.checksums.get(CHUNKS), one.versions, one.embedding) == (
        other.checksums.get(CHUNKS), other.versions, other.embedding,
    )  # fmt: skip
