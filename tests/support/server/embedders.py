"""Embedders for tests."""

from flame_server.embedding.identity import EmbeddingIdentity, Vectors
from flame_server.embedding.local import DIMENSIONS


class BrokenEmbedder:
    """An embedder that cannot embed."""

    identity = EmbeddingIdentity("Local", "broken", DIMENSIONS, "0")

    def embed_query(self, text: str) -> Vectors:
        del text
        raise RuntimeError("secret: the model's file is gone")
