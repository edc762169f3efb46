"""The interfaces of embedders, and the identity that says which vectors may be compared."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int], None]
# Raise the number when docs are cut into passages differently.
PASSAGES = b"title line + 500 characters; 1"


@dataclass(frozen=True)
class EmbeddingIdentity:
    """Identifies the model that made vectors. Only vectors of equal identities may be compared."""

    type: str
    model: str = ""
    dimensions: int = 0
    fingerprint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The identity as the manifest stores it."""
        return asdict(self)

    def accepts(self, other: "EmbeddingIdentity") -> bool:
        """Whether vectors of `other` can be compared with these; 0 dimensions fit any number."""
        return (self.type, self.model, self.fingerprint) == (other.type, other.model, other.fingerprint) and (
            self.dimensions in (0, other.dimensions)
        )


NO_EMBEDDING = EmbeddingIdentity("None")


class Embedder(Protocol):
    """Turns passages into unit vectors, for a build."""

    @property
    def identity(self) -> EmbeddingIdentity:
        """Identifies the model."""
        ...

    def embed(self, texts: Sequence[str], progress: Progress = ...) -> Vectors:
        """One unit vector for each text, shape [texts, dimensions]; calls `progress` with the number done."""
        ...


class BlockingQueryEmbedder(Protocol):
    """Turns queries into unit vectors in this process, and blocks the calling thread meanwhile."""

    @property
    def identity(self) -> EmbeddingIdentity:
        """Identifies the model."""
        ...

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of one query, shape [dimensions]."""
        ...


class QueryEmbedder(Protocol):
    """Turns queries into unit vectors, without blocking the event loop."""

    async def embed_query(self, text: str) -> Vectors:
        """The unit vector of one query, shape [dimensions].

        Raises:
            EmbeddingError: There is none now.
        """
        ...

    async def close(self) -> None:
        """Closes connections and threads."""
        ...


def no_progress(done: int) -> None:
    """Ignores progress."""
    del done
