"""The rooms of both programs: pictures, tables and words that follow the code."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs import rooms

ROOT = Path(__file__).resolve().parents[2]
HOUSES = {package: rooms.house(package) for package in rooms.PROGRAMS}
MOST_MODULES = 10
MOST_FILES = 8
"""Python modules on the top level of the search server."""


@pytest.mark.parametrize("package", rooms.PROGRAMS)
def test_the_picture_is_of_the_code(package: str) -> None:
    picture = ROOT / "docs" / f"{rooms.PROGRAMS[package]}-rooms.svg"
    assert picture.read_text() == rooms.drawn(HOUSES[package]), "run: make docs"


def test_the_tables_are_of_the_code() -> None:
    page = rooms.PAGE.read_text()
    assert page == rooms.filled(page, HOUSES.values()), "run: make docs"


def test_an_arrow_that_a_longer_way_shows_is_left_out() -> None:
    arrows = {
        "top": frozenset({"middle", "ground"}),
        "middle": frozenset({"ground"}),
        "ground": frozenset[str](),
    }
    assert rooms.floors(arrows) == {"top": 2, "middle": 1, "ground": 0}
    assert rooms.direct(arrows) == {**arrows, "top": {"middle"}}


def test_a_circle_is_no_house() -> None:
    with pytest.raises(ValueError, match=r"circle: \['one', 'two'\]"):
        rooms.floors({"one": frozenset({"two"}), "two": frozenset({"one"})})


@pytest.mark.parametrize("package", rooms.PROGRAMS)
def test_no_room_is_crowded(package: str) -> None:
    crowded = {
        name: len(room.modules)
        for name, room in HOUSES[package].rooms.items()
        if len(room.modules) > MOST_MODULES and name != "desired"
    }
    assert crowded == {}


def test_the_search_server_has_few_files_on_its_top_level() -> None:
    assert len(list((ROOT / "server" / "flame_server").glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("*/flame_*/**/__init__.py")), ids=lambda file: file.parent.name
)
def test_every_room_says_what_it_is_for(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert len(tree.body) == 1, "a room's __init__.py holds a docstring and nothing else"
    text = ast.get_docstring(tree) or ""
    if file.parent.parent.parent != ROOT:
        assert len(text.splitlines()) >= 3


def test_the_glossary_names_modules_that_exist() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text()
    named = re.findall(r"`(flame_(?:operator|server)\.[\w.]+)` \|$", page, re.MULTILINE)
    assert len(named) >= 30
    assert [name for name in named if find_spec(name) is None] == []


def test_contributing_names_files_that_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page.partition("## I want to ...")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 10
    named = re.findall(r"`([\w./*-]+/[\w./*-]*)`", table)
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []
