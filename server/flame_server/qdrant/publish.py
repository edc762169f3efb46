"""Loading an index into a Qdrant server: a collection of its own, checks, then the alias moves at once."""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_server.embedding.identity import NO_EMBEDDING, Vectors
from flame_server.errors import FlameMcpError, HeldBackError
from flame_server.index import files
from flame_server.index.files import IndexData
from flame_server.index.manifest import Manifest, read_manifest, rebuild_hint
from flame_server.index.ranking import ASKS, GROUP, LEXICAL, PASSAGES, PATH, VERSION
from flame_server.qdrant.connection import METADATA, QdrantTarget
from flame_server.qdrant.generations import (
    Generation,
    behind_alias,
    generations,
    named,
    previous,
    same_content,
)
from flame_server.qdrant.patience import patient
from flame_server.qdrant.searcher import QdrantSearcher

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, models

Report = Callable[[str], None]
MIN_RATIO = 0.9
_BATCH = 64
_CANARY_CHARS = 200


@dataclass(frozen=True)
class Checks:
    """What a new collection has to stand before it is searched.

    Attributes:
        min_ratio: How many chunks it needs, in relation to the one that is searched; 0 takes anything.
        canary: A question that it must have an answer to; empty takes a passage of the index itself.
        replicas: On how many nodes of a Qdrant cluster it is kept.
    """

    min_ratio: float = MIN_RATIO
    canary: str = ""
    replicas: int = 1


@dataclass(frozen=True)
class Published:
    """What is searched now, and what was before; None when nothing was."""

    collection: str
    previous: str | None
    manifest: Manifest

    def as_result(self) -> dict[str, Any]:
        """As the result of the command has it."""
        summary = self.manifest.summary()
        return {
            "collection": self.collection,
            "previous": self.previous,
            "version": summary["version"],
            "documents": summary["documents"],
            "chunks": summary["chunks"],
            "skipped": sum(version.skipped for version in self.manifest.versions),
            "sourceRevision": summary["revision"] or "",
            "embedding": summary["embedding"],
        }


def publish_index(
    folder: Path, target: QdrantTarget, report: Report, checks: Checks | None = None
) -> Published:
    """Loads the index in `folder` behind the alias of `target`; readers see the old one until all is there.

    Raises:
        FlameMcpError: The index is damaged, or Qdrant does not take it; the alias has not moved then.
        HeldBackError: The new collection fails a check. It stays for a look; the alias has not moved.
    """
    manifest = read_manifest(folder)
    generation = folder / manifest.generation
    try:
        files.check(generation, manifest.checksums)
    except FlameMcpError as error:
        raise FlameMcpError(f"{error}: {rebuild_hint(folder)}") from error
    return asyncio.run(_publish(manifest, files.read(generation), target, report, checks or Checks()))


def roll_back(target: QdrantTarget, report: Report) -> Published:
    """Lets the alias mean the index before; the one that it means now stays.

    Raises:
        FlameMcpError: There is none, or Qdrant does not take it.
    """
    return asyncio.run(_roll_back(target, report))


async def _roll_back(target: QdrantTarget, report: Report) -> Published:
    async with patient(target, report) as client:
        current = await behind_alias(client, target)
        before = previous(await generations(client, target.collection), current)
        if current is None or before is None:
            raise FlameMcpError(
                f"there is no index before {current or 'the first'} at {target.url}: publish one instead"
            )
        await move_alias(client, target.collection, before.name, replaces=True)
        report(f"{target.collection} means {before.name} again, and meant {current} before")
        return Published(before.name, current, before.manifest)


async def _publish(
    manifest: Manifest, data: IndexData, target: QdrantTarget, report: Report, checks: Checks
) -> Published:
    name = collection_name(target.collection, manifest)
    async with patient(target, report) as client:
        before = await behind_alias(client, target)
        known = await generations(client, target.collection)
        current = named(known, before)
        if current and current.complete and same_content(current.manifest, manifest):
            report(f"{target.collection} already means {current.name}, which holds the same")
            return Published(current.name, None, current.manifest)
        # What somebody who was killed has left.
        await _remove(client, [one for one in known if not one.complete and one.name != before])
        if name == before:
            # The same index again, because what is searched has lost something: it is searched until then.
            name = f"{name}-again"
        await client.delete_collection(name)
        try:
            await _fill(client, name, manifest, data, target, report, checks.replicas)
        except BaseException:
            await client.delete_collection(name)
            raise
        problem = await _problem(target, name, manifest, data, current, checks)
        older = previous(known, before)
        kept = {name, before, older.name if older else None}
        # Now, as they were held back or rolled back from: a rollback mustn't take one for the index before.
        await _remove(client, [one for one in known if one.name not in kept])
        if problem:
            raise HeldBackError(
                f"{problem}. {target.collection} still means {before or 'nothing'}; {name} is kept for a "
                "look. Mend the sources, or lower ingestion.minimumChunksPercent (--min-ratio)"
            )
        await move_alias(client, target.collection, name, replaces=before is not None)
        report(f"{target.collection} means {name} now" + (f", and meant {before} before" if before else ""))
        await _remove(client, [one for one in known if one.name not in {name, before}])
    return Published(name, before, manifest)


class _FirstPassage:
    """Stands for the embedding of any question: the vector of a passage that the collection has."""

    def __init__(self, vector: Vectors) -> None:
        self._vector = vector

    async def embed_query(self, text: str) -> Vectors:  # noqa: ARG002 - whatever it is
        """See `QuestionVectors`."""
        return self._vector

    async def close(self) -> None:
        """See `QuestionVectors`."""


async def _problem(  # noqa: PLR0913, PLR0917 - all that there is to compare
    target: QdrantTarget,
    name: str,
    manifest: Manifest,
    data: IndexData,
    current: Generation | None,
    checks: Checks,
) -> str:
    """Why the new collection may not be searched; empty when it may."""
    if current and manifest.chunks < checks.min_ratio * current.points:
        return (
            f"the new index has {manifest.chunks} chunks, less than {checks.min_ratio:.0%} of the "
            f"{current.points} that are searched"
        )
    # By words, and by meaning where there are vectors: whoever publishes need not have the model.
    vectors = _FirstPassage(data.passages.values[0]) if len(data.passages.values) else None
    wanted = manifest.embedding if vectors else NO_EMBEDDING
    searcher = QdrantSearcher(replace(target, collection=name), wanted, vectors, len, lambda _: None)
    first = data.chunks[0]
    question = checks.canary or f"{first.title} {first.content[:_CANARY_CHARS]}"
    try:
        answer = await searcher.answer(question, 1)
    finally:
        await searcher.close()
    if answer.found:
        return ""
    return (
        f"the new index has no answer to the question {question!r} (verification.query, --canary): "
        "ask one that these docs answer"
    )


def collection_name(alias: str, manifest: Manifest) -> str:
    """A name that tells the docs' version, what the vectors are made with, and when it was built."""
    embedding = sha256(json.dumps(manifest.embedding.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{alias}__{manifest.versions[0].version}__{embedding}__{manifest.generation}"


async def _fill(  # noqa: PLR0913, PLR0917 - all of it describes one collection
    client: "AsyncQdrantClient",
    name: str,
    manifest: Manifest,
    data: IndexData,
    target: QdrantTarget,
    report: Report,
    replicas: int,
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
        # A cluster has a whole copy on each node, so that any of them answers and a snapshot holds all.
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


async def move_alias(client: "AsyncQdrantClient", alias: str, name: str, *, replaces: bool) -> None:
    """Lets the alias mean another collection, in one request: nobody finds it missing in between."""
    from qdrant_client import models  # noqa: PLC0415 - see connect

    create = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
    )
    delete = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
    await client.update_collection_aliases([delete, create] if replaces else [create])


async def _remove(client: "AsyncQdrantClient", unwanted: Collection[Generation]) -> None:
    for one in unwanted:
        await client.delete_collection(one.name)
