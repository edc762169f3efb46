import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flame_server.errors import FlameMcpError
from flame_server.index import build, files
from flame_server.index.build import build_index
from flame_server.index.manifest import DocsVersion, read_manifest
from flame_server.index.verify import verify_index
from flame_server.search.local import open_searcher


def quiet(line: str) -> None:
    del line


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_manifest_says_what_was_built(lexical_index: Path, small_docs: Path) -> None:
    manifest = read_manifest(lexical_index)
    assert manifest.versions == (DocsVersion("latest", str(small_docs), None, 2, 4, 0),)
    assert manifest.embedding.type == "None"
    assert contents(lexical_index) == {".lock", "manifest.json", manifest.generation}
    assert verify_index(lexical_index)["chunks"] == 4


def test_local_index_has_unit_vectors_for_every_chunk(local_index: Path) -> None:
    data = files.read(local_index / read_manifest(local_index).generation)
    for rows in (data.passages, data.asks):
        assert (np.diff(rows.offsets) > 0).all()
        assert np.allclose(np.linalg.norm(rows.values, axis=1), 1, atol=1e-5)
    assert all(chunk.tokens > 0 for chunk in data.chunks)


def test_version_is_in_ids_and_links(small_docs: Path, tmp_path: Path) -> None:
    build_index(str(small_docs), tmp_path, embedding="none", version="1.38.0", report=quiet)
    data = files.read(tmp_path / read_manifest(tmp_path).generation)
    assert all(chunk.id.startswith("1.38.0/") and "/1.38.0/" in chunk.url for chunk in data.chunks)


def test_a_second_build_replaces_the_first(small_docs: Path, tmp_path: Path) -> None:
    first = build_index(str(small_docs), tmp_path, embedding="none", report=quiet)
    second = build_index(str(small_docs), tmp_path, embedding="none", report=quiet)
    assert first.generation != second.generation
    assert contents(tmp_path) == {".lock", "manifest.json", second.generation}


@pytest.mark.parametrize("step", ["write", "write_manifest"])
def test_a_failure_in_the_middle_keeps_the_old_index(
    lexical_index: Path,
    own_copy: Callable[[Path], Path],
    small_docs: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    out = own_copy(lexical_index)
    before = contents(out)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files if step == "write" else build, step, fail)
    with pytest.raises(FlameMcpError, match="No space left"):
        build_index(str(small_docs), out, embedding="none", report=quiet)
    assert contents(out) == before
    assert open_searcher(out, "None").search("camera", 1).found


def test_an_interrupted_build_leaves_no_files(
    small_docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "index_data", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_index(str(small_docs), tmp_path, embedding="none", report=quiet)
    assert contents(tmp_path) == {".lock"}


def test_no_usable_page_is_an_error_and_the_old_index_stays(
    lexical_index: Path, own_copy: Callable[[Path], Path], tmp_path: Path
) -> None:
    out = own_copy(lexical_index)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "binary.md").write_bytes(b"\0")
    heard: list[str] = []
    with pytest.raises(FlameMcpError, match="no usable markdown page \\(1 skipped\\)"):
        build_index(str(empty), out, report=heard.append)
    assert heard[0] == "warning: binary.md: skipped: it is binary, not text"
    assert verify_index(out)["documents"] == 2


def test_two_builds_at_once_do_not_meet(small_docs: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        with pytest.raises(FlameMcpError, match="another build"):
            build_index(str(small_docs), tmp_path, embedding="none", report=quiet)


def test_out_must_be_a_folder(small_docs: Path, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("mine")
    with pytest.raises(FlameMcpError, match="cannot write the index"):
        build_index(str(small_docs), target, embedding="none", report=quiet)
    assert target.read_text() == "mine"


def change_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "has format 99.*rebuild it with"),
        ({"generation": "../elsewhere"}, "outside its folder"),
        ({"unknown": 1}, "incomplete.*rebuild it with"),
        ({"versions": []}, "names no version of the docs.*rebuild it with"),
        (
            {"embedding": {"type": "Local", "model": "other", "dimensions": 384, "fingerprint": "f"}},
            "embeddings of other.*rebuild it with",
        ),
    ],
)
def test_an_index_of_another_kind_is_refused(
    local_index: Path, own_copy: Callable[[Path], Path], changes: dict[str, Any], message: str
) -> None:
    folder = own_copy(local_index)
    change_manifest(folder, **changes)
    with pytest.raises(FlameMcpError, match=message):
        open_searcher(folder, "Local")


def test_another_models_index_still_answers_by_words(
    local_index: Path, own_copy: Callable[[Path], Path]
) -> None:
    folder = own_copy(local_index)
    change_manifest(
        folder, embedding={"type": "Local", "model": "other", "dimensions": 384, "fingerprint": "f"}
    )
    assert open_searcher(folder, "None").search("viewport", 1).found[0].chunk.title == "Viewport"


def test_an_index_without_embeddings_is_refused_for_local(lexical_index: Path) -> None:
    with pytest.raises(FlameMcpError, match=r"without embeddings.*FLAME_MCP_EMBEDDING_TYPE=None"):
        open_searcher(lexical_index, "Local")


@pytest.mark.parametrize("name", [files.CHUNKS, files.VECTORS])
@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_files_are_noticed(
    lexical_index: Path, own_copy: Callable[[Path], Path], name: str, damage: bytes | None
) -> None:
    folder = own_copy(lexical_index)
    path = folder / read_manifest(folder).generation / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(FlameMcpError, match="rebuild it with"):
        verify_index(folder)
    with pytest.raises(FlameMcpError, match="rebuild it with"):
        open_searcher(folder, "None")


def test_no_index_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(FlameMcpError, match=r"no index in .*: build one with flame-mcp index build"):
        open_searcher(tmp_path, "None")
