"""Reuses vectors of an existing index: the same text and the same model give the same vector."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from flame_server.docs.sections import Chunk, passages, title_line
from flame_server.embedding.identity import EmbeddingIdentity, Vectors
from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.manifest import read_manifest


def digest(text: str) -> bytes:
    """The key of a text."""
    return sha256(text.encode("utf-8")).digest()


def known_vectors(folder: Path, identity: EmbeddingIdentity) -> Mapping[bytes, Vectors]:
    """The vectors of the index in `folder` by the digests of their texts; none when it is unusable."""
    try:
        manifest = read_manifest(folder)
        if not identity.accepts(manifest.embedding):
            return {}
        generation = folder / manifest.generation
        files.check(generation, manifest.checksums)
        data = files.read(generation)
    # No index, a damaged one, or one of another format: everything is embedded anew.
    except (FlameMcpError, OSError):
        return {}
    return by_text(data.chunks, data.passages.values, data.asks.values)


def by_text(
    chunks: Sequence[Chunk], passages_of: Sequence[Vectors] | Vectors, asks_of: Sequence[Vectors] | Vectors
) -> dict[bytes, Vectors]:
    """The vectors of chunks by the digests of their texts; none unless there is one for each text."""
    texts, questions = passage_texts(chunks), question_texts(chunks)
    if (len(texts), len(questions)) != (len(passages_of), len(asks_of)):
        return {}
    pairs = zip([*texts, *questions], [*passages_of, *asks_of], strict=True)
    return {digest(text): vector for text, vector in pairs}


def passage_texts(chunks: Sequence[Chunk]) -> list[str]:
    """The passages of all chunks."""
    return [text for chunk in chunks for text in passages(chunk)]


def question_texts(chunks: Sequence[Chunk]) -> list[str]:
    """The title lines and expected questions of all chunks; each chunk has at least its title line."""
    return [text for chunk in chunks for text in (title_line(chunk), *chunk.asks)]
