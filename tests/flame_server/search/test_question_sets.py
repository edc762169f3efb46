"""The questions that users of Flame really asked: enough of them, split by hash, and answered by the docs."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flame_server.docs.folder import open_tree
from flame_server.index.build import read_docs
from flame_server.search.evaluate import read_questions

QUESTIONS = Path(__file__).parents[1] / "questions"
SETS = ("tuning", "check", "real-tuning", "real-check")


def rows(name: str) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in (QUESTIONS / f"{name}.jsonl").read_text("utf-8").splitlines()]


def half_of(query: str) -> str:
    return "tuning" if hashlib.sha256(query.encode()).digest()[0] % 2 == 0 else "check"


def test_the_halves_of_the_real_questions_are_split_by_hash() -> None:
    halves = [(half, row["query"]) for half in ("tuning", "check") for row in rows(f"real-{half}")]
    halves += [(row["half"], row["query"]) for row in rows("unanswerable")]
    assert {half_of(query) == half for half, query in halves} == {True}
    assert len({query for _, query in halves}) == len(halves)


def test_there_are_enough_real_questions_with_one_to_four_sections_each() -> None:
    answerable = [*rows("real-tuning"), *rows("real-check")]
    assert len(answerable) >= 120
    assert len(rows("unanswerable")) >= 25
    assert {1 <= len(row["gold"]) <= 4 for row in answerable} == {True}
    kinds = {row["kind"] for row in [*answerable, *rows("unanswerable")]}
    assert kinds == {"symptom", "error", "migration", "howto", "concept", "code"}


def test_odd_threads_are_left_to_the_check_from_outside() -> None:
    for row in [*rows("real-tuning"), *rows("real-check"), *rows("unanswerable")]:
        found = re.search(r"/(\d+)$", row["source"])
        assert found, row
        assert int(found[1]) % 2 == 0, row


@pytest.mark.parametrize("name", SETS)
def test_every_section_that_answers_a_question_exists(flame_docs: Path, name: str) -> None:
    with open_tree(str(flame_docs), None, None, "auto") as tree:
        _, chunks = read_docs(tree, "latest", print)
    known = {f"{chunk.source_path}#{chunk.heading}" for chunk in chunks}
    for question in read_questions(QUESTIONS / f"{name}.jsonl"):
        assert question.gold <= known, question
