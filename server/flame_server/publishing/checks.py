"""Decides whether a new collection may be searched: it must be large enough and answer a query."""

from dataclasses import dataclass, replace

from flame_server.embedding.identity import NO_EMBEDDING, Vectors
from flame_server.index.files import IndexData
from flame_server.index.manifest import Manifest
from flame_server.qdrant.connection import QdrantTarget
from flame_server.qdrant.generations import Generation
from flame_server.search.qdrant import QdrantSearcher

MIN_RATIO = 0.9
_CANARY_CHARS = 200


@dataclass(frozen=True)
class Checks:
    """The checks that a new collection must pass before it is searched.

    Attributes:
        min_ratio: Smallest share of chunks, compared with the index in use; 0 accepts any.
        canary: A query that it must answer; empty takes a passage of the index itself.
        replicas: On how many nodes of a Qdrant cluster it is kept.
    """

    min_ratio: float = MIN_RATIO
    canary: str = ""
    replicas: int = 1


class _FixedEmbedder:
    """Returns the same vector for every query: that of a passage in the collection."""

    def __init__(self, vector: Vectors) -> None:
        self._vector = vector

    async def embed_query(self, text: str) -> Vectors:  # noqa: ARG002 - the same for every text
        """See `QueryEmbedder`."""
        return self._vector

    async def close(self) -> None:
        """See `QueryEmbedder`."""


async def find_problem(  # noqa: PLR0913, PLR0917 - everything that is compared
    target: QdrantTarget,
    name: str,
    manifest: Manifest,
    data: IndexData,
    current: Generation | None,
    checks: Checks,
) -> str:
    """Why the new collection must not be searched; empty when it passes the checks."""
    if current and manifest.chunks < checks.min_ratio * current.points:
        return (
            f"the new index has {manifest.chunks} chunks, less than {checks.min_ratio:.0%} of the "
            f"{current.points} that are searched"
        )
    # Lexical, and with a vector where the index has some. The vector comes from the index: whoever publishes
    # need not have the model.
    embedder = _FixedEmbedder(data.passages.values[0]) if len(data.passages.values) else None
    wanted = manifest.embedding if embedder else NO_EMBEDDING
    searcher = QdrantSearcher(replace(target, collection=name), wanted, embedder, len, lambda _: None)
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
