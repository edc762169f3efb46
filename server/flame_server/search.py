"""Searching an index: the query's terms and vector, the engine, and the chunks behind its numbers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from flame_server.embedding.errors import EmbeddingError, Reason
from flame_server.embedding.identity import NO_EMBEDDING, LocalQueries, Vectors
from flame_server.embedding.local import LocalEmbedder, return_free_memory
from flame_server.embedding.queries import TIMEOUT_SECONDS, QueryEmbedder
from flame_server.embedding.service import EmbeddingService, ServiceModel
from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.files import IndexData, StoredChunk
from flame_server.index.manifest import Manifest, check_embedding, read_manifest, rebuild_hint
from flame_server.index.store import Store
from flame_server.pages import PageEntry, entries
from flame_server.recent import Recent
from flame_server.text.lexical import query_vector
from flame_server.text.wordpiece import TokenCounter, load_tokenizer

EmbeddingChoice = Literal["Local", "None"] | ServiceModel
Degraded = Literal["lexical"] | None
_NOTHING_MISSING: Degraded = None
_RANKED = 101
# Numbers of chunks and scores: less than 2 MiB with 20 passages each.
_KEPT_ANSWERS = 512
_log = logging.getLogger(__name__)


def _nobody_counts(reason: Reason) -> None:
    del reason


@dataclass(frozen=True)
class Found:
    """A chunk and its score within [0, 1], comparable within one answer only."""

    chunk: StoredChunk
    score: float


@dataclass(frozen=True)
class Answer:
    """Chunks, best first; `degraded` says what was done without."""

    found: Sequence[Found]
    degraded: Degraded


class SearchService(Protocol):
    """What answers questions: an index in this process, or one in a Qdrant server."""

    @property
    def index(self) -> dict[str, Any] | None:
        """What answers and readiness say about the index; None while it has not been seen."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """The parts of the docs that a question may be limited to."""
        ...

    @property
    def versions(self) -> Sequence[str]:
        """The versions of the docs, the default one first; none while the index has not been seen."""
        ...

    def about(self, version: str | None) -> dict[str, Any]:
        """As `index`, with what concerns one version; the default one without.

        Raises:
            KeyError: There is no such version.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """The length of a text in tokens."""
        ...

    async def answer(self, query: str, limit: int, group: str | None, version: str | None = None) -> Answer:
        """The `limit` best chunks for a query in one version of the docs, the default one without.

        Of one group of pages when it is given.

        Raises:
            UnavailableError: The index cannot be reached now.
        """
        ...

    async def page(self, path: str, version: str) -> Sequence[StoredChunk]:
        """The chunks of a page in its order; none when there is no such page.

        Raises:
            UnavailableError: The index cannot be reached now.
        """
        ...

    async def pages(self, version: str) -> Sequence[PageEntry]:
        """The pages of one version.

        Raises:
            UnavailableError: The index cannot be reached now.
        """
        ...

    async def check(self) -> None:
        """Makes sure that questions can be answered.

        Raises:
            UnavailableError: They cannot; the text says what is missing.
        """
        ...

    async def close(self) -> None:
        """Ends connections and gives memory back."""
        ...


class QuestionVectors(Protocol):
    """Vectors of questions."""

    async def embed_query(self, text: str) -> Vectors:
        """The unit vector of one question."""
        ...

    async def close(self) -> None:
        """Ends connections."""
        ...


async def vector_of(query: str, vectors: QuestionVectors | None) -> tuple[Vectors | None, Degraded]:
    """The vector of a question, or the word that says that it is done without."""
    if vectors is None:
        return None, None
    try:
        return await vectors.embed_query(query), None
    except EmbeddingError as error:
        _log.warning("embedding the query failed, answering lexically: %s", error)
    # An answer by words alone is worth more than none, whatever the reason.
    except Exception:  # noqa: BLE001
        _log.exception("embedding the query failed, answering lexically")
    return None, "lexical"


def version_filter(version: str | None, versions: Sequence[str]) -> str | None:
    """What chunks are chosen by; None when there is nothing to choose between."""
    if version is None and len(versions) > 1:
        return versions[0]
    return None if list(versions) == [version] else version


class Searcher:
    """An index in this process. Its engine is for one thread, which is a worker of its own.

    Args:
        embedder: Embeds questions in this process, in that same thread.
        vectors: Embeds them somewhere else.
    """

    def __init__(
        self,
        manifest: Manifest,
        data: IndexData,
        embedder: LocalQueries | None,
        count_tokens: TokenCounter,
        vectors: QuestionVectors | None = None,
    ) -> None:
        self.manifest = manifest
        self.index: dict[str, Any] | None = manifest.summary()
        self.versions: Sequence[str] = tuple(known.version for known in manifest.versions)
        self.groups: Sequence[str] = tuple(sorted({chunk.group for chunk in data.chunks}))
        self.count_tokens = count_tokens
        self._chunks = data.chunks
        self._embedder = embedder
        self._vectors = vectors
        self._store = Store(data)
        # The index of a process never changes, so an answer never grows old.
        self._recent: Recent[tuple[str, int, str | None, str | None], Answer] = Recent(_KEPT_ANSWERS)
        # One: the engine gains nothing from a second thread (measured), and memory stays flat under load.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="search")

    def about(self, version: str | None) -> dict[str, Any]:
        """See `SearchService`."""
        return self.manifest.summary(version or self.versions[0])

    async def answer(
        self, query: str, limit: int, group: str | None = None, version: str | None = None
    ) -> Answer:
        """See `SearchService`."""
        key = query, limit, group, version
        answer = self._recent.get(key)
        if answer is None:
            answer = await self._search(query, limit, group, version)
            if answer.degraded is None:
                self._recent.keep(key, answer)
        return answer

    async def _search(self, query: str, limit: int, group: str | None, version: str | None) -> Answer:
        loop = asyncio.get_running_loop()
        if self._vectors is None:
            return await loop.run_in_executor(
                self._worker, partial(self.search, query, limit, group, version)
            )
        vector, degraded = await vector_of(query, self._vectors)
        found = await loop.run_in_executor(
            self._worker, partial(self._rank, query, vector, limit, group, version)
        )
        return Answer(found, degraded)

    def search(self, query: str, limit: int, group: str | None = None, version: str | None = None) -> Answer:
        """The answer without leaving this process. Not while another call is in the engine."""
        vector, degraded = None, _NOTHING_MISSING
        if self._embedder is not None:
            try:
                vector = self._embedder.embed_query(query)
            # As in vector_of.
            except Exception:  # noqa: BLE001
                _log.exception("embedding the query failed, answering lexically")
                degraded = "lexical"
        return Answer(self._rank(query, vector, limit, group, version), degraded)

    def _rank(
        self, query: str, vector: Vectors | None, limit: int, group: str | None, version: str | None
    ) -> Sequence[Found]:
        wanted = version_filter(version, self.versions)
        # Always as many: the engine may put equal ones in another order where it is asked for fewer.
        hits = self._store.search(query_vector(query), vector, max(limit, _RANKED), group, wanted)
        return [Found(self._chunks[hit.number], hit.score) for hit in hits[:limit]]

    async def page(self, path: str, version: str) -> Sequence[StoredChunk]:
        """See `SearchService`."""
        return [chunk for chunk in self._chunks if (chunk.source_path, chunk.version) == (path, version)]

    async def pages(self, version: str) -> Sequence[PageEntry]:
        """See `SearchService`."""
        return entries(chunk for chunk in self._chunks if chunk.version == version)

    async def check(self) -> None:
        """See `SearchService`: the index is here, or the process would not have started."""

    async def close(self) -> None:
        """See `SearchService`."""
        self._worker.shutdown()
        self._store.close()
        if self._vectors is not None:
            await self._vectors.close()


def open_searcher(
    folder: Path, embedding: EmbeddingChoice, failed: Callable[[Reason], None] = _nobody_counts
) -> Searcher:
    """The index in `folder`, opened for search with the embedding that the settings ask for.

    Args:
        folder: What `build_index` has written.
        embedding: How questions are embedded.
        failed: Hears why an embedding service gave no vector.

    Raises:
        FlameMcpError: No index, a damaged one, or one made with another model or format.
    """
    manifest = read_manifest(folder)
    if embedding != "None" and manifest.embedding == NO_EMBEDDING:
        # Said before the model is loaded: it cannot fit, whichever it is.
        raise FlameMcpError(
            f"the index in {folder} was built without embeddings: {rebuild_hint(folder)}, "
            "or search it lexically with FLAME_MCP_EMBEDDING_TYPE=None"
        )
    embedder, vectors = None, None
    if embedding == "Local":
        # Before anything else is loaded: nothing needs as much memory for a moment.
        embedder = LocalEmbedder()
        check_embedding(manifest, embedder.identity, *_blame(folder))
    elif embedding != "None":
        check_embedding(manifest, embedding.identity, *_blame(folder))
        vectors = question_vectors(embedding, lambda: manifest.embedding.dimensions, failed)
    tokenizer = embedder.tokenizer if embedder else load_tokenizer()
    searcher = Searcher(manifest, _read(folder, manifest), embedder, TokenCounter(tokenizer), vectors)
    return_free_memory()
    return searcher


def question_vectors(
    model: ServiceModel, dimensions: Callable[[], int], failed: Callable[[Reason], None]
) -> QueryEmbedder:
    """Vectors of questions from a service, without retries: a second attempt would come too late."""
    service = EmbeddingService(model, retries=0, seconds=TIMEOUT_SECONDS)
    return QueryEmbedder(service, dimensions, failed)


def _blame(folder: Path) -> tuple[str, str]:
    return f"the index in {folder}", rebuild_hint(folder)


def _read(folder: Path, manifest: Manifest) -> IndexData:
    try:
        return files.read(folder / manifest.generation)
    except FlameMcpError as error:
        # A build may have switched generations between the manifest and the files.
        current = read_manifest(folder)
        if current.generation != manifest.generation:
            raise FlameMcpError(
                f"the index in {folder} was replaced while it was read: start again"
            ) from error
        raise FlameMcpError(f"{error}: {rebuild_hint(folder)}") from error
