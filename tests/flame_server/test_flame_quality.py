"""The gates of quality and memory, on an index of the whole real docs.

The index takes a minute or two to build; it is kept in $FLAME_CACHE (default ~/.cache/flame-mcp) until the
docs or the code that makes it change.
"""

import hashlib
import os
import re
from pathlib import Path

import pytest

import flame_server
from flame_server.client import ask
from flame_server.errors import FlameMcpError
from flame_server.evaluate import evaluate, read_questions
from flame_server.index.build import build_index
from flame_server.index.verify import verify_index
from flame_server.search import open_searcher
from tests.flame_server.server_process import FLAME_MCP, ready, running

MAX_RESIDENT_KIB = 320 * 1024


def fingerprint(docs: Path) -> str:
    package = Path(flame_server.__file__).parent
    code = [f for part in ("docs", "embedding", "text", "index") for f in (package / part).rglob("*.py")]
    pages = [f for ending in ("*.md", "*.dart") for f in docs.rglob(ending)]
    digest = hashlib.sha256()
    for path in (*sorted(code), *sorted(pages)):
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@pytest.fixture(scope="module")
def full_index(flame_docs: Path) -> Path:
    cache = Path(os.environ.get("FLAME_CACHE", Path.home() / ".cache" / "flame-mcp"))
    out = cache / "test-index" / fingerprint(flame_docs)
    try:
        verify_index(out)
    except FlameMcpError:
        build_index(str(flame_docs), out, report=print)
    return out


@pytest.mark.timeout(900)
def test_answers_are_good(full_index: Path, flame_questions: Path) -> None:
    report = evaluate(open_searcher(full_index, "Local").search, read_questions(flame_questions))
    assert report.overall["ndcg_at_10"] >= 0.72, report
    assert report.overall["page_ndcg_at_10"] >= 0.80, report


@pytest.mark.timeout(900)
def test_fusion_beats_words_alone(full_index: Path, flame_questions: Path) -> None:
    questions = read_questions(flame_questions)
    words = evaluate(open_searcher(full_index, "None").search, questions)
    both = evaluate(open_searcher(full_index, "Local").search, questions)
    assert words.overall["ndcg_at_10"] >= 0.65, words
    assert both.overall["ndcg_at_10"] > words.overall["ndcg_at_10"]


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
