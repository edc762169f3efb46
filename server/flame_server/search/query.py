"""What both searchers do with a query before they search: embed it, and choose the version to search."""

import logging
from collections.abc import Sequence

from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.identity import QueryEmbedder, Vectors
from flame_server.search.service import Degraded

_log = logging.getLogger(__name__)


async def embed_or_degrade(query: str, embedder: QueryEmbedder | None) -> tuple[Vectors | None, Degraded]:
    """The vector of a query, or None with the reason: "lexical" when it could not be embedded."""
    if embedder is None:
        return None, None
    try:
        return await embedder.embed_query(query), None
    except EmbeddingError as error:
        _log.warning("embedding the query failed, answering lexically: %s", error)
    # A lexical answer is better than none, whatever the reason.
    except Exception:  # noqa: BLE001
        _log.exception("embedding the query failed, answering lexically")
    return None, "lexical"


def version_filter(version: str | None, versions: Sequence[str]) -> str | None:
    """The version that chunks must have; None when the index has only that version."""
    if version is None and len(versions) > 1:
        return versions[0]
    return None if list(versions) == [version] else version
