"""A Qdrant stand-in that keeps snapshots."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flame_server.qdrant.connection import QdrantTarget
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.snapshots import serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "server"


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[QdrantStandIn, QdrantTarget]]:
    with serving(folder) as found:
        yield found


@pytest.fixture
def target(served: tuple[QdrantStandIn, QdrantTarget]) -> QdrantTarget:
    return served[1]
