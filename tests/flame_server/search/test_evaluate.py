import math
from pathlib import Path

import pytest

from flame_server.docs.sections import Chunk
from flame_server.errors import FlameMcpError
from flame_server.index.files import StoredChunk
from flame_server.search.evaluate import Question, as_table, evaluate, ndcg, read_questions, reciprocal_rank
from flame_server.search.service import Answer, Found


def chunk(path: str, heading: str, part: int = 0) -> StoredChunk:
    plain = Chunk("id", "t", heading, ("t",), "a", "u", path, "v", "g", part, "c", ())
    return StoredChunk(**vars(plain), tokens=1)


def test_ndcg_by_hand() -> None:
    gold = frozenset({"a", "b"})
    ideal = 1 + 1 / math.log2(3)
    assert ndcg(["a", "b"], gold, 10) == pytest.approx(1)
    assert ndcg(["x", "a", "y", "b"], gold, 10) == pytest.approx(
        (1 / math.log2(3) + 1 / math.log2(5)) / ideal
    )
    assert ndcg(["x", "a"], gold, 1) == 0


def test_reciprocal_rank() -> None:
    assert reciprocal_rank(["x", "y", "a"], frozenset({"a"})) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"], frozenset({"a"})) == 0


def test_parts_of_a_section_count_once_at_their_best_rank() -> None:
    ranking = [chunk("p.md", "A"), chunk("p.md", "A", 1), chunk("q.md", "`B`"), chunk("p.md", "C")]
    answer = Answer([Found(c, 0.5) for c in ranking], None)
    questions = [
        Question("one", frozenset({"q.md#`B`"}), "code"),
        Question("two", frozenset({"p.md#A", "p.md#C", "z.md#Z"}), "error"),
    ]
    report = evaluate(lambda *_: answer, questions)
    assert report.by_kind["code"] == {
        "queries": 1,
        "ndcg_at_10": round(1 / math.log2(3), 4),
        "recall_at_5": 1.0,
        "hit_at_5": 1.0,
        "mrr": 0.5,
        "page_ndcg_at_10": round(1 / math.log2(3), 4),
    }
    assert report.by_kind["error"]["recall_at_5"] == 0.6667
    assert report.overall["mrr"] == 0.75
    assert "code" in as_table(report)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ":3: not JSON"),
        ("[]", ':3: "query" must be'),
        ('{"query": " ", "gold": ["a#b"]}', ':3: "query" must be'),
        ('{"query": "q", "gold": []}', ':3: "gold" must be'),
        ('{"query": "q", "gold": ["no heading"]}', ':3: "gold" must be'),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"query": "q", "gold": ["doc/a.md#b"]}\n\n' + line + "\n")
    with pytest.raises(FlameMcpError, match=message):
        read_questions(path)


def test_questions_lose_the_docs_prefix(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"query": "q", "gold": ["doc/a.md#b"]}\n')
    assert read_questions(path) == [Question("q", frozenset({"a.md#b"}), "other")]
    path.write_text("\n")
    with pytest.raises(FlameMcpError, match="holds no question"):
        read_questions(path)
