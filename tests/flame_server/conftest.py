"""Docs, indexes and servers that several tests share."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flame_server.embedding.identity import BlockingQueryEmbedder
from flame_server.index import files
from flame_server.index.build import build_index
from flame_server.index.manifest import read_manifest
from flame_server.search.local import Searcher
from flame_server.text.wordpiece import TokenCounter, load_tokenizer
from tests.harness.pki import Authority, Certificate
from tests.support.server.embedders import BrokenEmbedder
from tests.support.server.small_docs import AUDIO, CAMERA, quiet
from tests.support.server.sphinx_site import build_site

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"


@pytest.fixture(scope="session")
def small_docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("docs")
    (root / "doc" / "flame").mkdir(parents=True)
    (root / "doc" / "bridge").mkdir()
    (root / "doc" / "flame" / "camera.md").write_text(CAMERA)
    (root / "doc" / "bridge" / "audio.md").write_text(AUDIO)
    return root


@pytest.fixture(scope="session")
def local_index(small_docs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with real embeddings. Read only."""
    out = tmp_path_factory.mktemp("local-index")
    build_index(str(small_docs), out, report=quiet)
    return out


@pytest.fixture(scope="session")
def lexical_index(small_docs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index without embeddings. Read only."""
    out = tmp_path_factory.mktemp("lexical-index")
    build_index(str(small_docs), out, embedding="none", report=quiet)
    return out


@pytest.fixture
def broken_embedder() -> BrokenEmbedder:
    return BrokenEmbedder()


@pytest.fixture(scope="session")
def searcher_over() -> Callable[..., Searcher]:
    """Opens an index with any embedder."""

    def opened(folder: Path, embedder: BlockingQueryEmbedder | None) -> Searcher:
        manifest = read_manifest(folder)
        data = files.read(folder / manifest.generation)
        return Searcher(manifest, data, embedder, TokenCounter(load_tokenizer()))

    return opened


@pytest.fixture(scope="session")
def flame_docs() -> Path:
    """The real Flame docs."""
    configured = os.environ.get("FLAME_DOCS", "")
    for folder in ([Path(configured)] if configured and "://" not in configured else []) + [
        SHARED / "flame-docs"
    ]:
        if (folder / "doc").is_dir():
            return folder
    pytest.skip(
        f"the Flame docs are not there: set FLAME_DOCS to a checkout, or put one at {SHARED / 'flame-docs'}"
    )


@pytest.fixture(scope="session")
def flame_site(flame_docs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real Flame docs as HTML. Read only."""
    return build_site(flame_docs / "doc", tmp_path_factory.mktemp("site") / "html")


@pytest.fixture(scope="session")
def flame_questions() -> Path:
    """Questions about the real Flame docs."""
    path = SHARED / "eval" / "flame_queries.jsonl"
    if not path.is_file():
        pytest.skip(f"the questions are not there: {path}")
    return path


@pytest.fixture
def own_copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies an index, for tests that damage it."""

    def copied(folder: Path) -> Path:
        target = tmp_path / "index"
        shutil.copytree(folder, target)
        return target

    return copied


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def certificate(authority: Authority) -> tuple[Path, Path]:
    return authority.pair("localhost", Certificate("localhost", addresses=("localhost", "127.0.0.1", "::1")))
