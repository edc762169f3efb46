"""Reads the vectors of an answer. Services differ in what they leave out, so only vectors are required."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flame_server.embedding.identity import Vectors
from flame_server.embedding.protocol.words import said

_MOST_TOKENS = 2**53
_JUNK = (ValueError, TypeError, OverflowError, RecursionError)


class ShapeError(Exception):
    """An answer without the vectors that were asked for.

    Attributes:
        words: What the service says instead, not cleaned; mostly empty.
    """

    def __init__(self, problem: str, words: str = "") -> None:
        super().__init__(problem)
        self.words = words


@dataclass(frozen=True)
class Answer:
    """What an answer holds.

    Attributes:
        vectors: In the order of the texts, as the service gave them; finite, shape [texts, dimensions].
        tokens: How many tokens the texts had; None when the service doesn't tell.
        model: The name that the service gives its model, anything at all.
    """

    vectors: Vectors
    tokens: int | None
    model: object


def read(content: bytes, texts: int) -> Answer:
    """The vectors of so many texts, whether they come as numbers or as base64, and in whatever order.

    Raises:
        ShapeError: These are not vectors of so many texts.
    """
    try:
        body = json.loads(content)
    except _JUNK as error:
        raise ShapeError("it is not JSON: check the address") from error
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        raise ShapeError("it has no list 'data' of vectors", said(body) if isinstance(body, dict) else "")
    if len(data) != texts:
        raise ShapeError(f"it has {len(data)} vectors for {texts} texts")
    rows = [_row(item) for item in data]
    sizes = sorted({len(row) for row in rows})
    if sizes[0] == 0 or len(sizes) > 1:
        raise ShapeError(f"its vectors have {' and '.join(map(str, sizes[:3]))} dimensions")
    vectors = np.stack(rows)
    if not np.isfinite(vectors).all():
        raise ShapeError("it has numbers that are not finite")
    return Answer(vectors[_places(data)], _tokens(body.get("usage")), body.get("model"))


def _row(item: object) -> Vectors:
    value = item.get("embedding") if isinstance(item, dict) else None
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
        # Text would become numbers, too, or take much memory.
        if isinstance(value, list) and set(map(type, value)) <= {int, float}:
            with np.errstate(over="ignore"):
                return np.array(value, dtype=np.float32)
    except _JUNK as error:
        raise ShapeError("it has a vector that cannot be read") from error
    raise ShapeError("it has a vector that is neither numbers nor base64")


def _places(data: Sequence[dict[str, Any]]) -> Sequence[int]:
    """Where the vector of each text is in the answer. Without any index, they are in the texts' order."""
    found = [item.get("index") for item in data]
    if all(index is None for index in found):
        return range(len(data))
    places = {index: place for place, index in enumerate(found) if type(index) is int}
    if sorted(places) != list(range(len(data))):
        raise ShapeError("its 'index' does not name each text once")
    return [places[number] for number in range(len(data))]


def _tokens(usage: object) -> int | None:
    if isinstance(usage, dict):
        for name in ("prompt_tokens", "total_tokens"):
            count = usage.get(name)
            if type(count) is int and 0 <= count < _MOST_TOKENS:
                return count
    return None
