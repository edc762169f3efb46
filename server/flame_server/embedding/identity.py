"""What an embedder is, and which vectors may be compared."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int], None]
# Raise the number when other passages are cut.
PASSAGES = b"title line + 500 characters; 1"


@dataclass(frozen=True)
class EmbeddingIdentity:
    """What vectors may be compared: equal identities only."""

    type: str
    model: str = ""
    dimensions: int = 0
    fingerprint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The identity as the manifest stores it."""
        return asdict(self)

    def accepts(self, other: "EmbeddingIdentity") -> bool:
        """Whether vectors of `other` can be searched with; a size of 0 is one that only the service knows."""
        return (self.type, self.model, self.fingerprint) == (other.type, other.model, other.fingerprint) and (
            self.dimensions in (0, other.dimensions)
        )


NO_EMBEDDING = EmbeddingIdentity("None")


class Embedder(Protocol):
    """Turns passages into unit vectors."""

    @property
    def identity(self) -> EmbeddingIdentity:
        """What the vectors may be compared with."""
        ...

    def embed(self, texts: Sequence[str], progress: Progress = ...) -> Vectors:
        """One unit vector a text, shape [texts, dimensions]; `progress` hears how many are done."""
        ...


class LocalQueries(Protocol):
    """Turns questions into unit vectors in this process."""

    @property
    def identity(self) -> EmbeddingIdentity:
        """What the vectors may be compared with."""
        ...

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of one query, shape [dimensions]."""
        ...


def no_progress(done: int) -> None:
    """Nobody watches."""
    del done
