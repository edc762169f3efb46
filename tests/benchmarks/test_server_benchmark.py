"""The benchmark of the search server runs from end to end. How fast, no test can say on a busy machine."""

import json
from pathlib import Path

import pytest

from benchmarks.server.phases import Options, run
from benchmarks.server.report import LEXICAL, LOCAL, MANY, as_json, as_text
from tests.harness.errors import HarnessError

SECTION = "## {title}\n\nThe {title} belongs to the camera and moves with the world that it looks at.\n\n"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for page in ("camera", "world", "audio"):
        titles = [f"{page} {part}" for part in ("viewport", "bounds", "limits")]
        (folder / f"{page}.md").write_text(
            f"# {page}\n\n" + "".join(SECTION.format(title=title) for title in titles)
        )
    return folder


@pytest.mark.timeout(180)
def test_it_measures_every_server(docs: Path) -> None:
    result = run(Options(("--source", str(docs)), seconds=0.3, starts=1, steps=(0.5,)))
    names = {LOCAL, LEXICAL, "Qdrant, Local", "Qdrant, None"}
    assert {(one.name, one.questions, one.clients) for one in result.loads} == {
        (name, questions, clients)
        for name in names
        for questions in ("repeated", "distinct")
        for clients in (1, MANY)
    }
    assert all(one.rate > 0 and 0 < one.p50_ms <= one.p99_ms for one in (*result.floors, *result.loads))
    assert {one.name for one in result.memory} == names
    assert all(0 < one.ready <= one.peak and one.after <= one.peak for one in result.memory)
    assert [(one.embedding, one.pages) for one in result.builds] == [("none", 3), ("local", 3)]
    assert len(result.start.seconds) == 1
    assert len(result.open_loops) == 4
    # The floor answers with what the server has answered.
    assert result.answer_bytes > 2_000
    assert json.loads(as_json(result))["checks"]
    assert "calls/s" in as_text(result)


def test_docs_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="index build"):
        run(Options(("--source", str(tmp_path / "nothing"))))
