"""An embedder that counts the passages that it embeds."""

from collections.abc import Sequence

from flame_server.embedding.identity import Embedder, EmbeddingIdentity, Progress, Vectors, no_progress


class CountingEmbedder:
    """Wraps an embedder and counts. See `Embedder`.

    Attributes:
        embedded: How many passages were embedded; passages with a reused vector do not count.
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
