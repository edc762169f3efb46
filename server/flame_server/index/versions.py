"""Versions of the docs beside one another in one index."""

import numpy as np

from flame_server.errors import FlameMcpError
from flame_server.index.files import IndexData


def without(data: IndexData, version: str) -> IndexData:
    """All of an index but one version."""
    kept = np.array([chunk.version != version for chunk in data.chunks], dtype=bool)
    return IndexData(
        chunks=[chunk for chunk in data.chunks if chunk.version != version],
        terms=data.terms.only(kept),
        weights=data.weights.only(kept),
        passages=data.passages.only(kept),
        asks=data.asks.only(kept),
    )


def joined(first: IndexData, second: IndexData) -> IndexData:
    """Two indexes in one. Their weights stay as they are: each version's words count among its own.

    Raises:
        FlameMcpError: Their vectors are of different sizes.
    """
    sizes = sorted({data.passages.values.shape[1] for data in (first, second) if len(data.passages.values)})
    if len(sizes) > 1:
        raise FlameMcpError(
            f"the versions' vectors have {sizes[0]} and {sizes[1]} dimensions: build each with the same"
        )
    return IndexData(
        chunks=[*first.chunks, *second.chunks],
        terms=first.terms.followed_by(second.terms),
        weights=first.weights.followed_by(second.weights),
        passages=first.passages.followed_by(second.passages),
        asks=first.asks.followed_by(second.asks),
    )
