"""A Qdrant stand-in that keeps snapshots, and what its alias and its collections hold."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flame_server.embedding.identity import NO_EMBEDDING
from flame_server.index.build import build_index
from flame_server.publishing.publish import publish_index
from flame_server.qdrant.connection import QdrantTarget
from flame_server.search.qdrant import QdrantSearcher
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.asgi import Clock
from tests.support.server.qdrant_server import KEY, qdrant_served
from tests.support.server.small_docs import quiet

ALIAS = "flame-docs"


@contextmanager
def serving(folder: Path) -> Iterator[tuple[QdrantStandIn, QdrantTarget]]:
    """A server that keeps its snapshots below a folder."""
    with qdrant_served(KEY, snapshots=folder) as server:
        yield server, QdrantTarget(server.url, ALIAS, KEY)


def answers(target: QdrantTarget) -> list[Any]:
    """What a search gives, behind the alias."""

    async def ask() -> list[Any]:
        searcher = QdrantSearcher(target, NO_EMBEDDING, None, len, lambda _: None, Clock())
        try:
            return [(await searcher.answer(query, 3)).found for query in ("viewport", "sound delayed")]
        finally:
            await searcher.close()

    return asyncio.run(ask())


def meant(stand_in: QdrantStandIn) -> dict[str, str]:
    return {one.alias_name: one.collection_name for one in stand_in.engine.get_aliases().aliases}


def collections(stand_in: QdrantStandIn) -> set[str]:
    return {one.name for one in stand_in.engine.get_collections().collections}


def another(docs: Path, index: Path, target: QdrantTarget, version: str) -> str:
    """Publishes an index of another version; returns its collection."""
    build_index(str(docs), index, embedding="none", version=version, report=quiet)
    return publish_index(index, target, quiet).collection
