"""Keeps several versions of the docs in one index."""

import numpy as np

from flame_server.errors import FlameMcpError
from flame_server.index.files import IndexData


def without(data: IndexData, version: str) -> IndexData:
    """An index without one of its versions."""
    kept = np.array([chunk.version != version for chunk in data.chunks], dtype=bool)
    return IndexData(
        chunks=[chunk for chunk in data.chunks if chunk.version != version],
        terms=data.terms.only(kept),
        weights=data.weights.only(kept),
        passages=data.passages.only(kept),
        asks=data.asks.only(kept),
    )


def joined(first: IndexData, second: IndexData) -> IndexData:
    """Joins two indexes. Term weights do not change: they are computed for each version by itself.

    Raises:
        FlameMcpError: Their vectors have different dimensions.
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
