"""Several versions of the docs in one index."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fastmcp import Client

from flame_server.commands.main import main
from flame_server.embedding.identity import EmbeddingIdentity, Progress, Vectors
from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.build import build_index
from flame_server.index.manifest import DocsVersion, Manifest, default_first, read_manifest
from flame_server.index.verify import verify_index
from flame_server.search.local import open_searcher
from flame_server.search.query import version_filter
from flame_server.serving.app import create_server
from flame_server.settings import Settings
from tests.support.server.small_docs import CAMERA, quiet

OLD = (
    CAMERA.replace("viewport", "lens").replace("Viewport", "Lens")
    + "\n## Removed\n\nGone since the camera moved.\n"
)


class CountingEmbedder:
    """Vectors without meaning, and the texts that were asked for."""

    def __init__(self, model: str = "m", size: int = 4) -> None:
        self.identity = EmbeddingIdentity("OpenAI", model, 0, "f")
        self.asked: list[str] = []
        self._size = size

    def embed(self, texts: Any, progress: Progress = quiet) -> Vectors:  # type: ignore[assignment]  # noqa: ANN401
        del progress
        self.asked += texts
        return np.full((len(texts), self._size), 0.5, dtype=np.float32)


@pytest.fixture
def old_docs(tmp_path: Path) -> Path:
    (tmp_path / "old" / "flame").mkdir(parents=True)
    (tmp_path / "old" / "flame" / "camera.md").write_text(OLD)
    return tmp_path / "old"


@pytest.fixture
def both(small_docs: Path, old_docs: Path, tmp_path: Path) -> Path:
    out = tmp_path / "index"
    build_index(str(old_docs), out, embedding="none", version="1.9.0", report=quiet)
    build_index(str(small_docs), out, embedding="none", keep_versions=True, report=quiet)
    return out


def version(name: str) -> DocsVersion:
    return DocsVersion(name, "", None, 1, 1, 0)


def test_latest_then_the_newest_is_the_default() -> None:
    names = ["main", "1.9.0", "2.0.0-dev.1", "v1.38.0", "2.0.0", "latest"]
    ordered = [known.version for known in default_first(map(version, names))]
    assert ordered == ["latest", "2.0.0", "2.0.0-dev.1", "v1.38.0", "1.9.0", "main"]


def test_the_manifest_names_each_version_with_its_source(
    both: Path, small_docs: Path, old_docs: Path
) -> None:
    assert read_manifest(both).versions == (
        DocsVersion("latest", str(small_docs), None, 2, 4, 0),
        DocsVersion("1.9.0", str(old_docs), None, 1, 4, 0),
    )
    summary = verify_index(both)
    assert (summary["version"], summary["versions"]) == ("latest", ["latest", "1.9.0"])
    assert (summary["documents"], summary["chunks"]) == (3, 8)


def test_a_version_takes_its_own_place_only(both: Path, small_docs: Path) -> None:
    build_index(str(small_docs), both, embedding="none", version="1.9.0", keep_versions=True, report=quiet)
    assert [(known.version, known.chunks) for known in read_manifest(both).versions] == [
        ("latest", 4),
        ("1.9.0", 4),
    ]
    assert not open_searcher(both, "None").search("lens", 9, version="1.9.0").found
    build_index(str(small_docs), both, embedding="none", version="2.0.0", report=quiet)
    assert [known.version for known in read_manifest(both).versions] == ["2.0.0"]


def test_a_question_is_answered_from_one_version(both: Path) -> None:
    searcher = open_searcher(both, "None")
    assert searcher.versions == ("latest", "1.9.0")

    def urls(**chosen: str) -> list[str]:
        return [found.chunk.url for found in searcher.search("camera viewport lens", 20, **chosen).found]

    assert urls()
    assert all("/latest/" in url for url in urls())
    assert urls(version="latest") == urls()
    assert all("/1.9.0/" in url for url in urls(version="1.9.0"))
    assert not urls(version="1.9.0", group="bridge")


def test_what_else_is_in_the_index_changes_no_answer(both: Path, small_docs: Path, tmp_path: Path) -> None:
    build_index(str(small_docs), tmp_path / "alone", embedding="none", report=quiet)
    alone, beside = open_searcher(tmp_path / "alone", "None"), open_searcher(both, "None")
    for question in ("camera", "removed camera player", "sound viewport world"):
        assert beside.search(question, 9).found == alone.search(question, 9).found


def test_the_command_line_searches_the_version_asked_for(both: Path) -> None:
    def search(*arguments: str) -> Result:
        environment = {"FLAME_MCP_EMBEDDING_TYPE": "None"}
        command = ["search", "--index", str(both), "--json", *arguments]
        return CliRunner().invoke(main, command, env=environment, catch_exceptions=False)

    found = json.loads(search("--version", "1.9.0", "lens").stdout)
    assert found["results"][0]["id"] == "1.9.0/flame/camera.md#lens"
    assert found["index"]["version"] == "1.9.0"
    unknown = search("--version", "3", "lens")
    assert unknown.exit_code == 1
    assert "there is no version '3': give one of latest, 1.9.0" in unknown.stderr


def test_filter_only_where_there_is_a_choice() -> None:
    assert version_filter(None, ["latest"]) is None
    assert version_filter("latest", ["latest"]) is None
    assert version_filter(None, ["latest", "1"]) == "latest"
    assert version_filter("1", ["latest", "1"]) == "1"


def test_vectors_are_kept_and_the_same_text_is_embedded_once(
    small_docs: Path, old_docs: Path, tmp_path: Path
) -> None:
    out, embedder = tmp_path / "index", CountingEmbedder()
    build_index(str(small_docs), out, embedding=embedder, report=quiet)
    first = set(embedder.asked)
    assert len(first) == len(embedder.asked) > 4
    build_index(str(old_docs), out, embedding=embedder, version="1.9.0", keep_versions=True, report=quiet)
    # The page's text and the world's are those of the other version.
    assert 0 < len(embedder.asked) - len(first) < len(first)
    assert len(set(embedder.asked)) == len(embedder.asked)
    data = files.read(out / read_manifest(out).generation)
    assert data.passages.values.shape == (8, 4)
    assert list(data.passages.offsets) == list(range(9))
    assert (len(data.asks.offsets), data.asks.offsets[-1]) == (9, len(data.asks.values))
    assert data.terms.offsets[-1] == len(data.terms.values) == len(data.weights.values)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (CountingEmbedder("n"), "have vectors of m, this build makes those of n: give the same --embedding"),
        ("none", "have vectors of m, this build makes those of None"),
        (CountingEmbedder(size=5), "dimensions"),
    ],
)
def test_vectors_of_another_model_are_refused(
    small_docs: Path,
    old_docs: Path,
    tmp_path: Path,
    other: Any,  # noqa: ANN401
    message: str,
) -> None:
    build_index(str(small_docs), tmp_path, embedding=CountingEmbedder(), report=quiet)
    before = read_manifest(tmp_path)
    with pytest.raises(FlameMcpError, match=message):
        build_index(str(old_docs), tmp_path, embedding=other, version="1", keep_versions=True, report=quiet)
    assert read_manifest(tmp_path) == before


def test_a_damaged_index_is_not_built_upon(both: Path, small_docs: Path) -> None:
    (both / read_manifest(both).generation / files.VECTORS).write_bytes(b"x")
    with pytest.raises(FlameMcpError, match="is missing or damaged"):
        build_index(str(small_docs), both, embedding="none", keep_versions=True, report=quiet)


@pytest.mark.parametrize("name", ["", "../x", "a b", "1#2", "x" * 65])
def test_a_version_must_fit_a_link(small_docs: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(FlameMcpError, match="cannot be part of a link"):
        build_index(str(small_docs), tmp_path, embedding="none", version=name, report=quiet)


def test_about_a_version(both: Path) -> None:
    manifest: Manifest = read_manifest(both)
    assert manifest.summary("1.9.0")["documents"] == 1
    with pytest.raises(KeyError):
        manifest.summary("3")


async def test_the_tool_answers_from_the_version_asked_for(both: Path) -> None:
    async with Client(create_server(open_searcher(both, "None"), Settings())) as client:
        tool, *_ = await client.list_tools()
        text = tool.input_schema["properties"]["version"]["description"]
        assert text == "Docs version, one of latest, 1.9.0; default latest"
        asked = {"query": "lens", "version": "1.9.0"}
        answer = (await client.call_tool("get_flame_knowledge", asked)).structured_content
        assert answer
        assert answer["results"][0]["url"] == "https://docs.flame-engine.org/1.9.0/flame/camera.html#lens"
        index = answer["index"]
        assert (index["version"], index["versions"], index["chunks"]) == ("1.9.0", ["latest", "1.9.0"], 4)
        unknown = {"query": "lens", "version": "3"}
        refused = await client.call_tool("get_flame_knowledge", unknown, raise_on_error=False)
        assert "there is no version '3': give one of latest, 1.9.0, or leave it out" in str(refused.content)
