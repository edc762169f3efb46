"""Versions of the docs beside one another in one index."""

import numpy as np
import numpy.typing as npt

from flame_server.errors import FlameMcpError
from flame_server.index.files import IndexData

_Offsets = npt.NDArray[np.int64]


def without(data: IndexData, version: str) -> IndexData:
    """All of an index but one version."""
    kept = np.array([chunk.version != version for chunk in data.chunks], dtype=bool)
    terms, term_offsets = _kept(data.term_offsets, kept)
    passages, passage_offsets = _kept(data.passage_offsets, kept)
    return IndexData(
        chunks=[chunk for chunk in data.chunks if chunk.version != version],
        terms=data.terms[terms],
        weights=data.weights[terms],
        term_offsets=term_offsets,
        passages=data.passages[passages],
        passage_offsets=passage_offsets,
    )


def joined(first: IndexData, second: IndexData) -> IndexData:
    """Two indexes in one. Their weights stay as they are: each version's words count among its own.

    Raises:
        FlameMcpError: Their vectors are of different sizes.
    """
    passages = [data.passages for data in (first, second) if len(data.passages)]
    sizes = sorted({vectors.shape[1] for vectors in passages})
    if len(sizes) > 1:
        raise FlameMcpError(
            f"the versions' vectors have {sizes[0]} and {sizes[1]} dimensions: build each with the same"
        )
    return IndexData(
        chunks=[*first.chunks, *second.chunks],
        terms=np.concatenate([first.terms, second.terms]),
        weights=np.concatenate([first.weights, second.weights]),
        term_offsets=_behind(first.term_offsets, second.term_offsets),
        passages=np.concatenate(passages) if passages else first.passages,
        passage_offsets=_behind(first.passage_offsets, second.passage_offsets),
    )


def _kept(offsets: _Offsets, kept: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], _Offsets]:
    """Which rows belong to the chunks that are kept, and their new offsets."""
    lengths = np.diff(offsets)
    rows = np.repeat(kept, lengths)
    return rows, np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths[kept], dtype=np.int64)])


def _behind(first: _Offsets, second: _Offsets) -> _Offsets:
    return np.concatenate([first, second[1:] + first[-1]])
