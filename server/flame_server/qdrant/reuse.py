"""Reads the vectors of the published index back, so that unchanged texts are not embedded again."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flame_server.embedding.identity import EmbeddingIdentity, Vectors
from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.index.files import stored_chunk
from flame_server.index.ranking import ASKS, PASSAGES
from flame_server.index.reuse import by_text
from flame_server.qdrant.connection import QdrantTarget
from flame_server.qdrant.generations import alias_target, generations, named
from flame_server.qdrant.retries import retrying_client

_SCROLLED = 64
MOST_POINTS = 100_000
"""Of how many chunks vectors are read at most; the others are embedded anew."""


def published_vectors(
    target: QdrantTarget, identity: EmbeddingIdentity, report: Callable[[str], None]
) -> Mapping[bytes, Vectors]:
    """The vectors of the published index by the digests of their texts; none when its embedding differs.

    They only save work: if Qdrant does not answer, everything is embedded anew.
    """
    try:
        return asyncio.run(_published(target, identity, report))
    except (UnavailableError, FlameMcpError) as error:
        report(f"warning: {error}; all passages are embedded anew")
        return {}


async def _published(
    target: QdrantTarget, identity: EmbeddingIdentity, report: Callable[[str], None]
) -> Mapping[bytes, Vectors]:
    async with retrying_client(target, report) as client:
        current = named(await generations(client, target.collection), await alias_target(client, target))
        if current is None or not identity.accepts(current.manifest.embedding):
            return {}
        found: dict[bytes, Vectors] = {}
        following: Any = None
        size, read = current.manifest.embedding.dimensions, 0
        while True:
            points, following = await client.scroll(
                current.name, limit=_SCROLLED, offset=following, with_payload=True, with_vectors=True
            )
            for point in points:
                chunk = stored_chunk(point.payload or {})
                passages, asks = (_rows(point.vector, name, size) for name in (PASSAGES, ASKS))
                found |= by_text([chunk], passages, asks)
            read += len(points)
            if following is None or not points:
                return found
            if read >= MOST_POINTS:
                report(
                    f"warning: {current.name} has more than {MOST_POINTS} chunks; the rest is embedded anew"
                )
                return found


def _rows(vectors: Any, name: str, size: int) -> list[Vectors]:  # noqa: ANN401 - one of several shapes
    """The vectors of a point; none if one of them is no vector of that size."""
    rows = vectors.get(name, []) if isinstance(vectors, dict) else []
    try:
        # What is larger than a float becomes infinite.
        with np.errstate(over="ignore"):
            found = [np.asarray(row, dtype=np.float32) for row in rows]
    except (ValueError, TypeError):
        return []
    return found if all(row.shape == (size,) and np.isfinite(row).all() for row in found) else []
