"""The interface of every search: `SearchService`, and the answers that it gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from flame_server.index.files import StoredChunk
from flame_server.search.pages import PageEntry

Degraded = Literal["lexical"] | None


@dataclass(frozen=True)
class Found:
    """A chunk and its score within [0, 1], comparable within one answer only."""

    chunk: StoredChunk
    score: float


@dataclass(frozen=True)
class Answer:
    """Chunks, best first; `degraded` is "lexical" when the query could not be embedded."""

    found: Sequence[Found]
    degraded: Degraded


class SearchService(Protocol):
    """Answers queries from an index: one in this process, or one in a Qdrant server."""

    @property
    def index(self) -> dict[str, Any] | None:
        """Summary of the index, as answers and readiness show it; None until the index has been read."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """The parts of the docs that a query may be limited to."""
        ...

    @property
    def versions(self) -> Sequence[str]:
        """The versions of the docs, the default one first; none until the index has been read."""
        ...

    def about(self, version: str | None) -> dict[str, Any]:
        """Summary of one version in the index; of the default version without an argument.

        Raises:
            KeyError: There is no such version.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """The length of a text in tokens."""
        ...

    async def answer(self, query: str, limit: int, group: str | None, version: str | None = None) -> Answer:
        """The `limit` best chunks for a query in one version of the docs.

        Args:
            query: What to search for.
            limit: How many chunks to return at most.
            group: Searches only this part of the docs; None searches all.
            version: A version of the docs; None means the default one.

        Raises:
            UnavailableError: The index cannot be reached now.
        """
        ...

    async def page(self, path: str, version: str) -> Sequence[StoredChunk]:
        """The chunks of a page in their order; none when there is no such page.

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
        """Makes sure that queries can be answered.

        Raises:
            UnavailableError: They cannot; the text says what is missing.
        """
        ...

    async def close(self) -> None:
        """Closes connections and frees memory."""
        ...
