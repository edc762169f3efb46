"""Creates a collection in Qdrant and fills it with an index."""

import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from flame_server.errors import FlameMcpError
from flame_server.index.files import IndexData
from flame_server.index.manifest import Manifest
from flame_server.index.ranking import ASKS, GROUP, LEXICAL, PASSAGES, PATH, VERSION
from flame_server.qdrant.connection import METADATA, QdrantTarget

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

_BATCH = 64


def collection_name(alias: str, manifest: Manifest) -> str:
    """A name made of the alias, the docs version, a hash of the embedding, and the time of the build."""
    embedding = sha256(json.dumps(manifest.embedding.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{alias}__{manifest.versions[0].version}__{embedding}__{manifest.generation}"


async def fill_collection(  # noqa: PLR0913, PLR0917 - all of it describes one collection
    client: "AsyncQdrantClient",
    name: str,
    manifest: Manifest,
    data: IndexData,
    target: QdrantTarget,
    report: Callable[[str], None],
    replicas: int,
    owner: str | None = None,
) -> None:
    """Creates the collection `name`, loads all chunks and counts them.

    Raises:
        FlameMcpError: Fewer chunks arrived than were sent.
        UnavailableError: Qdrant refuses, or is away.
    """
    from qdrant_client import models  # noqa: PLC0415 - see connect

    best_of_several = models.VectorParams(
        size=max(data.passages.values.shape[1], 1),
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    groups = sorted({chunk.group for chunk in data.chunks})
    kept = {"alias": target.collection, "manifest": asdict(manifest), "groups": groups, "owner": owner}
    await client.create_collection(
        name,
        vectors_config={PASSAGES: best_of_several, ASKS: best_of_several},
        sparse_vectors_config={LEXICAL: models.SparseVectorParams()},
        metadata={METADATA: kept},
        # Each node of a cluster holds a full copy, so that every node can answer and a snapshot is complete.
        replication_factor=replicas if replicas > 1 else None,
        shard_number=1 if replicas > 1 else None,
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
