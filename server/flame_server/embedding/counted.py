"""An embedder that knows how much it was asked for."""

from collections.abc import Sequence

from flame_server.embedding.identity import Embedder, EmbeddingIdentity, Progress, Vectors, no_progress


class CountedEmbedder:
    """See `Embedder`.

    Attributes:
        embedded: How many passages it was asked for; those that were known already are none of them.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedded = 0
        self._embedder = embedder

    @property
    def identity(self) -> EmbeddingIdentity:
        """See `Embedder`."""
        return self._embedder.identity

    def embed(self, texts: Sequence[str], progress: Progress = no_progress) -> Vectors:
        """See `Embedder`."""
        vectors = self._embedder.embed(texts, progress)
        self.embedded += len(texts)
        return vectors
