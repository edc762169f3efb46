"""Loading a built index into a Qdrant server: a collection of its own, then the alias moves in one step."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.files import IndexData
from flame_server.index.manifest import Manifest, read_manifest, rebuild_hint
from flame_server.index.ranking import ASKS, GROUP, LEXICAL, PASSAGES, PATH, VERSION
from flame_server.qdrant.connection import METADATA, QdrantTarget, connect, explained

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

_TIMEOUT_SECONDS = 60
_BATCH = 64


def publish_index(folder: Path, target: QdrantTarget, report: Callable[[str], None]) -> str:
    """Loads the index in `folder` behind the alias of `target`; readers see the old one until all is there.

    Returns:
        The name of the new collection.

    Raises:
        FlameMcpError: The index is damaged, or Qdrant does not take it; the alias has not moved then.
    """
    manifest = read_manifest(folder)
    generation = folder / manifest.generation
    try:
        files.check(generation, manifest.checksums)
    except FlameMcpError as error:
        raise FlameMcpError(f"{error}: {rebuild_hint(folder)}") from error
    return asyncio.run(_publish(manifest, files.read(generation), target, report))


async def _publish(
    manifest: Manifest, data: IndexData, target: QdrantTarget, report: Callable[[str], None]
) -> str:
    client = connect(target, _TIMEOUT_SECONDS)
    name = collection_name(target.collection, manifest)
    try:
        with explained(target):
            before = await _behind_alias(client, target)
            if before == name:
                report(f"{target.collection} already means {name}")
                return name
            await client.delete_collection(name)
            try:
                await _fill(client, name, manifest, data, target, report)
            except BaseException:
                await client.delete_collection(name)
                raise
            await _move_alias(client, target.collection, name, replaces=before is not None)
            report(
                f"{target.collection} means {name} now" + (f", and meant {before} before" if before else "")
            )
            await _remove_older(client, target.collection, {name, before})
    finally:
        await client.close()
    return name


def collection_name(alias: str, manifest: Manifest) -> str:
    """A name that tells the docs' version, what the vectors are made with, and when it was built."""
    embedding = sha256(json.dumps(manifest.embedding.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{alias}__{manifest.versions[0].version}__{embedding}__{manifest.generation}"


async def _behind_alias(client: "AsyncQdrantClient", target: QdrantTarget) -> str | None:
    names = {collection.name for collection in (await client.get_collections()).collections}
    if target.collection in names:
        raise FlameMcpError(
            f"{target.collection} is a collection at {target.url}, no alias: give another --collection"
        )
    aliases = {alias.alias_name: alias.collection_name for alias in (await client.get_aliases()).aliases}
    return aliases.get(target.collection)


async def _fill(  # noqa: PLR0913, PLR0917 - all of it describes one collection
    client: "AsyncQdrantClient",
    name: str,
    manifest: Manifest,
    data: IndexData,
    target: QdrantTarget,
    report: Callable[[str], None],
) -> None:
    from qdrant_client import models  # noqa: PLC0415 - see connect

    best_of_several = models.VectorParams(
        size=max(data.passages.values.shape[1], 1),
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    groups = sorted({chunk.group for chunk in data.chunks})
    kept = {"alias": target.collection, "manifest": asdict(manifest), "groups": groups}
    await client.create_collection(
        name,
        vectors_config={PASSAGES: best_of_several, ASKS: best_of_several},
        sparse_vectors_config={LEXICAL: models.SparseVectorParams()},
        metadata={METADATA: kept},
    )
    for field in (GROUP, VERSION, PATH):
        await client.create_payload_index(name, field, models.PayloadSchemaType.KEYWORD, wait=True)
    for start in range(0, len(data.chunks), _BATCH):
        stop = min(start + _BATCH, len(data.chunks))
        await client.upsert(name, [_point(data, number) for number in range(start, stop)], wait=True)
        report(f"{stop}/{len(data.chunks)} chunks loaded")
    count = (await client.count(name, exact=True)).count
    if count != len(data.chunks):
        raise FlameMcpError(f"{name} holds {count} chunks, not {len(data.chunks)}: publish it again")


def _point(data: IndexData, number: int) -> "models.PointStruct":
    from qdrant_client import models  # noqa: PLC0415 - see connect

    terms = models.SparseVector(
        indices=data.terms.of(number).tolist(), values=data.weights.of(number).tolist()
    )
    vectors: dict[str, Any] = {LEXICAL: terms}
    for vector, rows in ((PASSAGES, data.passages), (ASKS, data.asks)):
        if len(found := rows.of(number)):
            vectors[vector] = found.tolist()
    return models.PointStruct(id=number, vector=vectors, payload=asdict(data.chunks[number]))


async def _move_alias(client: "AsyncQdrantClient", alias: str, name: str, *, replaces: bool) -> None:
    from qdrant_client import models  # noqa: PLC0415 - see connect

    create = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
    )
    delete = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
    # One request: nobody finds the alias missing in between.
    await client.update_collection_aliases([delete, create] if replaces else [create])


async def _remove_older(client: "AsyncQdrantClient", alias: str, kept: set[str | None]) -> None:
    """Removes collections that were published for this alias, except the last two."""
    for collection in (await client.get_collections()).collections:
        if collection.name in kept or not collection.name.startswith(f"{alias}__"):
            continue
        metadata = (await client.get_collection(collection.name)).config.metadata or {}
        # Another alias may begin alike: only what says that it is ours goes.
        if metadata.get(METADATA, {}).get("alias") == alias:
            await client.delete_collection(collection.name)
