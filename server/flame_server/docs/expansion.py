"""Document expansion: questions that a section of the docs answers, in words that the section does not use.

A query that shares hardly a word with the docs is close to one of these questions (Nogueira, Yang, Lin and
Cho 2019, "Document Expansion by Query Prediction"). A language model wrote them from the sections;
docs/benchmarks.md tells which questions of the measurements it knew. Stored data calls them "asks".
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources


def expected_questions(section: str) -> Sequence[str]:
    """The questions that a section answers; empty when none are known.

    Args:
        section: A chunk's id without the version, e.g. `flame/camera.md#viewport`.
    """
    return _all().get(section, ())


@cache
def _all() -> Mapping[str, Sequence[str]]:
    lines = resources.files("flame_server").joinpath("data/asks.jsonl").read_text(encoding="utf-8")
    found = [json.loads(line) for line in lines.splitlines()]
    return {entry["section"]: tuple(entry["asks"]) for entry in found}
