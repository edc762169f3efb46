"""What must hold for every page of the real Flame docs."""

import json
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from flame_server.docs.folder import open_tree
from flame_server.docs.myst.markdown import fences_are_closed
from flame_server.docs.sections import Chunk, chunks_of, passages, sections_of
from flame_server.docs.site import Site


@pytest.fixture(scope="module")
def read(flame_docs: Path) -> tuple[int, list[Chunk], list[str]]:
    with open_tree(str(flame_docs)) as tree:
        pages = list(tree.pages())
        site = Site("latest", pages)
        chunks = [
            chunk
            for page in pages
            for chunk in chunks_of(
                page.path, sections_of(page, site, partial(tree.dartdoc, page=page.path)), site
            )
        ]
        return len(pages), chunks, tree.warnings


def test_every_page_is_read(read: tuple[int, list[Chunk], list[str]]) -> None:
    pages, chunks, warnings = read
    assert pages >= 187
    assert len({chunk.source_path for chunk in chunks}) >= 175
    assert not [warning for warning in warnings if "skipped" in warning or "doc comment" in warning]


def test_chunks_are_sound(read: tuple[int, list[Chunk], list[str]]) -> None:
    _, chunks, _ = read
    assert not [chunk.id for chunk in chunks if not chunk.content.strip() or not chunk.title]
    assert not [chunk.id for chunk in chunks if not fences_are_closed(chunk.content)]
    assert not [chunk.id for chunk in chunks if not passages(chunk)]
    assert not [name for name, count in Counter(chunk.id for chunk in chunks).items() if count > 1]


def test_nothing_of_the_sites_plumbing_is_left(read: tuple[int, list[Chunk], list[str]]) -> None:
    _, chunks, _ = read
    # The page about writing docs quotes directives inside fences of its own.
    quoted = "development/documentation.md"
    for mark in (
        "{toctree}",
        "{dartdoc}",
        "{include}",
        "{flutter-app}",
        "{note}",
        "{package}",
        "\n:::",
        "cSpell:",
    ):
        assert not [c.id for c in chunks if mark in c.content and c.source_path != quoted], mark


def test_dartdoc_pages_have_their_text(read: tuple[int, list[Chunk], list[str]]) -> None:
    _, chunks, _ = read
    text = {c.source_path: c.content for c in reversed(chunks)}
    assert "vertical column" in text["flame/layout/column_component.md"]
    assert "cache for all `Character`s" in text["other_modules/jenny/runtime/character_storage.md"]


def test_every_answer_of_the_questions_exists_once(
    read: tuple[int, list[Chunk], list[str]], flame_questions: Path
) -> None:
    _, chunks, _ = read
    sections = Counter(f"doc/{c.source_path}#{c.heading}" for c in chunks if c.part == 0)
    gold = {g for line in flame_questions.read_text().splitlines() for g in json.loads(line)["gold"]}
    assert {g: sections[g] for g in gold} == dict.fromkeys(gold, 1)
