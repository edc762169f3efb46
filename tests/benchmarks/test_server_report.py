"""What the benchmark of the search server asks, and what it says about figures."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

from benchmarks.server.load import percentile
from benchmarks.server.questions import REPEATED, distinct, repeated
from benchmarks.server.report import (
    LEXICAL,
    LOCAL,
    MANY,
    Load,
    Memory,
    OpenLoop,
    Result,
    Start,
    as_json,
    as_text,
    checks,
)

FLOOR = Load("framework alone", "repeated", MANY, 500, 50, 90, 2, 0.3)
RESULT = Result(
    pinned=True,
    answer_bytes=15_000,
    floors=[FLOOR, replace(FLOOR, rate=700)],
    loads=[
        replace(FLOOR, name=LOCAL, rate=240),
        replace(FLOOR, name=LOCAL, questions="distinct", rate=60),
        replace(FLOOR, name=LOCAL, clients=1, rate=1),
    ],
    open_loops=[
        OpenLoop(LOCAL, "repeated", 200, 100, 5, 500),
        OpenLoop(LOCAL, "distinct", 60, 30, 20, 100),
        OpenLoop(LEXICAL, "distinct", 300, 150, 5, 500),
    ],
    memory=[Memory(LOCAL, 250, 320, 260), Memory(LEXICAL, 140, 200, 150)],
    builds=[],
    start=Start([9, 3, 2], [3, 2, 1], [150]),
)


def failed(result: Result) -> list[str]:
    return [check.name for check in checks(result) if not check.passed]


def change_load(number: int, rate: float) -> Callable[[Result], Result]:
    def changed(result: Result) -> Result:
        loads = list(result.loads)
        loads[number] = replace(loads[number], rate=rate)
        return replace(result, loads=loads)

    return changed


def test_good_figures_pass() -> None:
    assert failed(RESULT) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (change_load(0, 230), "repeated questions over the floor's rate"),
        (change_load(1, 59.9), "distinct questions"),
        (
            lambda result: replace(result, open_loops=[OpenLoop(LOCAL, "distinct", 60, 30, 20, 100.1)]),
            "p99 at half the highest rate",
        ),
        (lambda result: replace(result, start=Start([2, 3.1, 4], [1], [150])), "ready after"),
        (
            lambda result: replace(result, memory=[Memory(LOCAL, 1, 320.1, 1), RESULT.memory[1]]),
            "peak memory, Local",
        ),
        (
            lambda result: replace(result, memory=[RESULT.memory[0], Memory(LEXICAL, 1, 200.1, 1)]),
            "peak memory, None",
        ),
    ],
)
def test_each_target_can_be_missed(change: Callable[[Result], Result], name: str) -> None:
    assert failed(change(RESULT)) == [name]


def test_both_forms_have_every_target() -> None:
    text, found = as_text(RESULT), json.loads(as_json(RESULT))
    for check in checks(RESULT):
        assert check.name in text
    assert [check["passed"] for check in found["checks"]] == [True] * len(checks(RESULT))
    assert "missed" not in text
    assert "missed" in as_text(change_load(1, 1)(RESULT))
    assert "NOT pinned" in as_text(replace(RESULT, pinned=False))


def test_few_questions_come_round_and_others_do_not() -> None:
    titles = ["Viewport", "Caching", "Effects"] * 20
    again = list(islice(repeated(titles), 3 * REPEATED))
    assert len(set(again)) == REPEATED
    assert again[:REPEATED] == again[REPEATED : 2 * REPEATED]
    ones, others = (list(islice(distinct(titles, seed), 500)) for seed in (1, 2))
    assert len(set(ones) | set(others)) > 980
    assert ones == list(islice(distinct(titles, 1), 500))


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [
        ([3, 1, 2], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 101), 1.0, 100),
        ([7], 0.99, 7),
    ],
)
def test_percentiles(values: list[float], part: float, expected: float) -> None:
    assert percentile(list(values), part) == expected
