"""Builds with an embedding service."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from flame_server.embedding.documents import MAX_TOKENS, cost, next_batch
from flame_server.embedding.service import ServiceModel
from flame_server.errors import FlameMcpError
from flame_server.index.manifest import read_manifest
from tests.support.server.embedding_service import DEPLOYMENT, MODEL, StandIn, build_with_service


def test_batches_hold_what_one_request_may() -> None:
    texts = ["x"] * 65 + ["y" * MAX_TOKENS, "z" * MAX_TOKENS, "z" * MAX_TOKENS]
    found: list[str] = []
    sizes = []
    while batch := next_batch(texts, len(found), 64):
        found += batch
        sizes.append(len(batch))
    assert found == texts
    assert sizes == [64, 2, 1, 1]


def test_the_cost_is_told_where_prices_are_known() -> None:
    assert cost(208_000, MODEL) == f"208,000 tokens of {MODEL}, about $0.0042 at its list price"
    assert cost(10, "own-model") == "10 tokens of own-model"
    assert cost(None, "own-model") == "an unknown number of tokens of own-model: the service does not tell"


def to_embed(heard: list[str]) -> tuple[int, int]:
    """How many texts were new, and how many were known."""
    (said,) = [line for line in heard if "passages to embed" in line]
    new, known = re.findall(r"\d+", said)
    return int(new), int(known)


def test_a_build_tells_progress_and_cost_and_asks_for_each_text_once(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn
) -> None:
    heard = build_with_service(small_docs, tmp_path, azure)
    new, kept = to_embed(heard)
    assert (new > 4, kept) == (True, 0)
    assert any(line.startswith(f"{new}/{new} passages embedded") for line in heard)
    assert any(f"tokens of {MODEL}, about $0.0000" in line for line in heard)
    manifest = read_manifest(tmp_path)
    assert (manifest.embedding.model, manifest.embedding.dimensions) == (DEPLOYMENT, 8)
    assert to_embed(build_with_service(small_docs, tmp_path, azure)) == (0, new)
    assert len(stand_in.requests) == 1
    assert read_manifest(tmp_path).embedding == manifest.embedding


def test_vectors_of_another_model_or_of_damaged_files_are_not_taken(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn
) -> None:
    build_with_service(small_docs, tmp_path, azure)
    assert to_embed(build_with_service(small_docs, tmp_path, replace(azure, dimensions=4)))[1] == 0
    vectors = tmp_path / read_manifest(tmp_path).generation / "vectors.npz"
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"x")
    assert to_embed(build_with_service(small_docs, tmp_path, replace(azure, dimensions=4)))[1] == 0
    assert len(stand_in.requests) == 3


def test_a_model_that_changed_its_dimensions_is_noticed(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn
) -> None:
    build_with_service(small_docs, tmp_path / "index", azure)
    stand_in.dimensions = 9
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "new.md").write_text(
        (small_docs / "doc/flame/camera.md").read_text() + "\n## New\n\nText.\n"
    )
    with pytest.raises(FlameMcpError, match="gives 9 dimensions now"):
        build_with_service(tmp_path / "docs", tmp_path / "index", azure)
