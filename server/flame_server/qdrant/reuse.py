"""Vectors of the index that is searched now: what hasn't changed isn't embedded again."""

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
from flame_server.qdrant.generations import behind_alias, generations, named
from flame_server.qdrant.patience import patient

_SCROLLED = 64


def published_vectors(
    target: QdrantTarget, identity: EmbeddingIdentity, report: Callable[[str], None]
) -> Mapping[bytes, Vectors]:
    """The vectors behind the alias by their text's digest; none where there are none that fit.

    They only save work: without Qdrant everything is embedded anew.
    """
    try:
        return asyncio.run(_published(target, identity, report))
    except (UnavailableError, FlameMcpError) as error:
        report(f"warning: {error}; all passages are embedded anew")
        return {}


async def _published(
    target: QdrantTarget, identity: EmbeddingIdentity, report: Callable[[str], None]
) -> Mapping[bytes, Vectors]:
    async with patient(target, report) as client:
        current = named(await generations(client, target.collection), await behind_alias(client, target))
        if current is None or not identity.accepts(current.manifest.embedding):
            return {}
        found: dict[bytes, Vectors] = {}
        following: Any = None
        while True:
            points, following = await client.scroll(
                current.name, limit=_SCROLLED, offset=following, with_payload=True, with_vectors=True
            )
            for point in points:
                chunk = stored_chunk(point.payload or {})
                found |= by_text([chunk], _rows(point.vector, PASSAGES), _rows(point.vector, ASKS))
            if following is None:
                return found


def _rows(vectors: Any, name: str) -> list[Vectors]:  # noqa: ANN401 - one of several shapes
    rows = vectors.get(name, []) if isinstance(vectors, dict) else []
    return [np.asarray(row, dtype=np.float32) for row in rows]
