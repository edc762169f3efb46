"""Measures the quality of answers with questions whose answers are known.

The measures, each the mean over the questions (Manning, Raghavan and Schuetze, Introduction to Information
Retrieval, chapter 8): nDCG@10 with binary relevance, recall@5, hit@5 and MRR of sections; nDCG@10 of pages.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flame_server.errors import FlameMcpError
from flame_server.search.service import Answer

# The chunks of one section count once, so more are fetched to get at least ten sections.
_FETCHED = 50
_RESAMPLES = 2000
_METRICS = ("ndcg_at_10", "recall_at_5", "hit_at_5", "mrr", "page_ndcg_at_10")


@dataclass(frozen=True)
class Question:
    """A query, its kind, and the sections that answer it as `path#verbatim heading`, without `doc/`."""

    query: str
    gold: frozenset[str]
    kind: str


@dataclass(frozen=True)
class Report:
    """Means over all questions and by kind, and 95 % confidence intervals of those over all."""

    queries: int
    overall: dict[str, float]
    by_kind: dict[str, dict[str, float]]
    intervals: dict[str, tuple[float, float]]

    def as_dict(self) -> dict[str, object]:
        """The report as `evaluate --json` prints it."""
        return {
            "queries": self.queries,
            **self.overall,
            "by_kind": self.by_kind,
            "confidence_intervals": self.intervals,
        }


def read_questions(path: Path) -> list[Question]:
    """Questions from JSON lines `{"query", "gold": ["doc/page.md#heading"], "kind"}`.

    Raises:
        FlameMcpError: The file cannot be read, a line is not of that form, or there is no question.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FlameMcpError(f"cannot read the questions in {path}: {error}") from error
    questions = [_question(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not questions:
        raise FlameMcpError(f"{path} holds no question")
    return questions


def _question(line: str, where: str) -> Question:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise FlameMcpError(f"{where}: not JSON: {error}") from error
    query = data.get("query") if isinstance(data, dict) else None
    gold = data.get("gold") if isinstance(data, dict) else None
    if not isinstance(query, str) or not query.strip():
        raise FlameMcpError(f'{where}: "query" must be a text')
    if not isinstance(gold, list) or not gold or not all(isinstance(g, str) and "#" in g for g in gold):
        raise FlameMcpError(f'{where}: "gold" must be a list of "path#heading", at least one')
    return Question(query, frozenset(g.removeprefix("doc/") for g in gold), str(data.get("kind", "other")))


def evaluate(search: Callable[[str, int], Answer], questions: Sequence[Question]) -> Report:
    """Asks every question and averages the measures."""
    scores = [(question.kind, _score(search(question.query, _FETCHED), question)) for question in questions]
    kinds = sorted({kind for kind, _ in scores})
    return Report(
        len(questions),
        _means([score for _, score in scores]),
        {kind: {"queries": len(of), **_means(of)} for kind in kinds if (of := _of_kind(scores, kind))},
        {name: interval([score[name] for _, score in scores]) for name in _METRICS},
    )


def _of_kind(scores: Iterable[tuple[str, dict[str, float]]], kind: str) -> list[dict[str, float]]:
    return [score for other, score in scores if other == kind]


def _score(answer: Answer, question: Question) -> dict[str, float]:
    chunks = [found.chunk for found in answer.found]
    sections = list(dict.fromkeys(f"{chunk.source_path}#{chunk.heading}" for chunk in chunks))
    pages = list(dict.fromkeys(chunk.source_path for chunk in chunks))
    gold_pages = frozenset(gold.split("#")[0] for gold in question.gold)
    return {
        "ndcg_at_10": ndcg(sections, question.gold, 10),
        "recall_at_5": len(question.gold.intersection(sections[:5])) / len(question.gold),
        "hit_at_5": float(bool(question.gold.intersection(sections[:5]))),
        "mrr": reciprocal_rank(sections, question.gold),
        "page_ndcg_at_10": ndcg(pages, gold_pages, 10),
    }


def ndcg(ranked: Sequence[str], gold: frozenset[str], depth: int) -> float:
    """Normalised discounted cumulative gain of distinct results, each relevant or not."""
    gain = sum(1 / math.log2(rank + 1) for rank, item in enumerate(ranked[:depth], 1) if item in gold)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(gold), depth) + 1))
    return gain / best


def reciprocal_rank(ranked: Sequence[str], gold: frozenset[str]) -> float:
    """One over the rank of the first relevant result; 0 without one."""
    return next((1 / rank for rank, item in enumerate(ranked, 1) if item in gold), 0.0)


def _means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(sum(score[name] for score in scores) / len(scores), 4) for name in _METRICS}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of such values.

    By the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13).
    """
    # Seeded: the same answers give the same report.
    drawn = np.random.default_rng(0).choice(np.array(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def as_table(report: Report) -> str:
    """The report as a table: a line for each kind of question, and one for all."""
    rows = [*report.by_kind.items(), ("all", {"queries": report.queries, **report.overall})]
    lines = [f"{'':<14}{'queries':>9}" + "".join(f"{name:>18}" for name in _METRICS)]
    for name, row in rows:
        lines.append(
            f"{name:<14}{row['queries']:>9}" + "".join(f"{row[metric]:>18.3f}" for metric in _METRICS)
        )
    ranges = [f"{low:.3f}-{high:.3f}" for low, high in report.intervals.values()]
    lines.append(f"{'95 % within':<14}{'':>9}" + "".join(f"{text:>18}" for text in ranges))
    return "\n".join(lines)
