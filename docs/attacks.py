"""Writes docs/security.md, the table of attacks that the tests make, from tests/attacks: `make docs`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "attacks"
TARGET = ROOT / "docs" / "security.md"
INTRODUCTION = """\
# Attacks that are tested

For platform teams and security reviewers: what was tried against the operator and the search server by
tenants, pods, documents and services that mean harm. Each row is a test in `tests/attacks`. `make test` makes
all attacks; `make attack` makes those with a star at their full size as well. [SECURITY.md](../SECURITY.md)
tells what is promised, and how to report a weakness.

<!-- Written by `make docs` from tests/attacks: change the tests, not this file. -->
"""


class Attack(NamedTuple):
    """One test."""

    says: str
    """What it does: the first paragraph of its docstring, or its name."""
    test: str
    full_size: bool


def attacks(folder: Path = TESTS) -> dict[str, list[Attack]]:
    """The attacks by what each file's docstring says it is about, in the order of the files.

    Raises:
        ValueError: A file doesn't say what it is about.
    """
    return {_says(tree, file): list(_tests(tree, file)) for file, tree in _files(folder)}


def _files(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(folder.rglob("test_*.py")):
        yield file, ast.parse(file.read_text())


def _tests(tree: ast.Module, file: Path) -> Iterator[Attack]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            marks = [ast.unparse(decorator) for decorator in node.decorator_list]
            full_size = any("full_size" in mark for mark in marks)
            yield Attack(_says(node, file), f"{file.relative_to(TESTS)}::{node.name}", full_size)


def _says(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef, file: Path) -> str:
    """The first paragraph of the docstring; a test without one says it in its name."""
    text = ast.get_docstring(node)
    if text:
        return " ".join(text.partition("\n\n")[0].split())
    name: str = getattr(node, "name", "")
    if not name:
        raise ValueError(f"{file} has no docstring that says what it attacks")
    return name.removeprefix("test_").replace("_", " ").capitalize() + "."


def page(found: dict[str, list[Attack]]) -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION]
    for subject, tests in found.items():
        parts += [f"## {subject.rstrip('.')}", "", "| attack | test |", "| --- | --- |"]
        for one in tests:
            star = " *" if one.full_size else ""
            parts.append(f"| {one.says.replace('|', '/')}{star} | `{one.test}` |")
        parts.append("")
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    TARGET.write_text(page(attacks()))


if __name__ == "__main__":
    main()
