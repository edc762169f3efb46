"""The gates of quality and memory, on an index of the whole real docs.

The index takes a minute or two to build; it is kept in $FLAME_CACHE (default ~/.cache/flame-mcp) until the
docs or the code that makes it change.
"""

import fcntl
import hashlib
import os
import re
from pathlib import Path

import pytest

import flame_server
from flame_server.diagnostics.client import ask
from flame_server.errors import FlameMcpError
from flame_server.index import files
from flame_server.index.build import build_index
from flame_server.index.manifest import read_manifest
from flame_server.index.verify import verify_index
from flame_server.search.evaluate import evaluate, read_questions
from flame_server.search.local import open_searcher
from tests.support.server.server_process import FLAME_MCP, ready, running

MAX_RESIDENT_KIB = 320 * 1024
QUESTIONS = Path(__file__).parents[1] / "questions"
OWN = ("tuning", "check")


def fingerprint(docs: Path) -> str:
    package = Path(flame_server.__file__).parent
    code = [f for part in ("docs", "embedding", "text", "index") for f in (package / part).rglob("*.py")]
    code += (package / "data").iterdir()
    pages = [f for ending in ("*.md", "*.dart") for f in docs.rglob(ending)]
    digest = hashlib.sha256()
    for root, paths in ((package, code), (docs, pages)):
        for path in sorted(paths):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@pytest.fixture(scope="module")
def full_index(flame_docs: Path) -> Path:
    cache = Path(os.environ.get("FLAME_CACHE", Path.home() / ".cache" / "flame-mcp"))
    out = cache / "test-index" / fingerprint(flame_docs)
    out.parent.mkdir(parents=True, exist_ok=True)
    with (cache / "test-index.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of pytest may build the same index
        try:
            verify_index(out)
        except FlameMcpError:
            build_index(str(flame_docs), out, report=print)
    return out


@pytest.mark.timeout(900)
def test_everyday_questions_are_answered_well(full_index: Path, flame_questions: Path) -> None:
    report = evaluate(open_searcher(full_index, "Local").search, read_questions(flame_questions))
    assert report.overall["ndcg_at_10"] >= 0.84, report
    assert report.overall["hit_at_5"] >= 0.93, report
    assert report.overall["page_ndcg_at_10"] >= 0.90, report


@pytest.mark.timeout(900)
@pytest.mark.parametrize("half", OWN)
def test_our_own_questions_are_answered_well(full_index: Path, half: str) -> None:
    report = evaluate(open_searcher(full_index, "Local").search, read_questions(QUESTIONS / f"{half}.jsonl"))
    assert report.queries >= 100
    assert report.overall["ndcg_at_10"] >= 0.75, report
    assert report.overall["hit_at_5"] >= 0.85, report
    assert report.overall["page_ndcg_at_10"] >= 0.82, report


@pytest.mark.timeout(900)
def test_real_questions_are_answered_as_well_as_measured(full_index: Path) -> None:
    # Measured: docs/benchmarks.md. One of the 76 questions may change its place.
    report = evaluate(
        open_searcher(full_index, "Local").search, read_questions(QUESTIONS / "real-check.jsonl")
    )
    assert report.queries >= 60
    assert report.overall["ndcg_at_10"] >= 0.77, report
    assert report.overall["hit_at_5"] >= 0.92, report
    assert report.overall["page_ndcg_at_10"] >= 0.88, report


@pytest.mark.timeout(900)
def test_no_kind_is_worse_than_with_words_or_vectors_alone(
    full_index: Path, flame_questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [flame_questions, *(QUESTIONS / f"{half}.jsonl" for half in OWN)]
    questions = [question for file in sets for question in read_questions(file)]
    searcher = open_searcher(full_index, "Local")
    both = evaluate(searcher.search, questions)
    words = evaluate(open_searcher(full_index, "None").search, questions)
    monkeypatch.setattr("flame_server.search.local.query_terms", lambda _: {})
    vectors = evaluate(searcher.search, questions)
    for kind, means in both.by_kind.items():
        alone = max(report.by_kind[kind]["ndcg_at_10"] for report in (words, vectors))
        # A kind has some dozens of questions: less is noise.
        assert means["ndcg_at_10"] >= alone - 0.03, (kind, means, words.by_kind[kind], vectors.by_kind[kind])


def test_what_people_ask_is_known_for_the_sections_there_are(full_index: Path) -> None:
    chunks = files.read(full_index / read_manifest(full_index).generation).chunks
    assert sum(bool(chunk.asks) for chunk in chunks) >= 0.97 * len(chunks)


@pytest.mark.timeout(900)
def test_memory_stays_within_its_limit(full_index: Path, flame_questions: Path) -> None:
    questions = read_questions(flame_questions)
    with running([*FLAME_MCP, "serve"], full_index, EMBEDDING_TYPE="Local", LOG_LEVEL="warning") as (
        process,
        port,
    ):
        ready(process, port)
        for question in questions:
            assert ask(f"http://127.0.0.1:{port}/mcp", question.query, 10)["degraded"] is None
        status = Path(f"/proc/{process.pid}/status")
        if not status.exists():
            pytest.skip("resident memory is read from /proc, which this system does not have")
        found = re.search(r"VmRSS:\s*(\d+) kB", status.read_text())
    assert found
    assert int(found[1]) <= MAX_RESIDENT_KIB
