"""What a command tells a Job that reads no logs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flame_server.commands import outcome
from flame_server.commands.main import main
from flame_server.errors import FlameMcpError

MAX_BYTES = 3_500  # of the 4,096 that a container's termination message may have


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(outcome.RESULT_FILE, str(tmp_path / "result"))
    return tmp_path / "result"


@pytest.mark.parametrize(
    "message", ["x" * 9_000, "\U0001f525" * 9_000, '"\\' * 9_000, "\x00\x1b\n\udce9" * 9_000]
)
def test_a_result_is_json_that_fits_whatever_the_message_is(result: Path, message: str) -> None:
    def work() -> None:
        raise FlameMcpError(message)

    with pytest.raises(SystemExit) as raised:
        outcome.run("build", work)
    assert raised.value.code == 1
    assert len(result.read_bytes()) <= MAX_BYTES
    told = json.loads(result.read_text())["error"]
    assert (told["kind"], told["step"]) == ("user", "build")
    assert len(told["message"]) > 300


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("fetch",), "Missing option '--sources'"),
        (("build", "--out", "x"), "either --source or --fetched"),
        (("build", "--out", "x", "--source", "y", "--embedding", "best"), "'best' is not one of"),
        (("build", "--out", "x", "--source", "y", "--embedding", "openai"), "needs FLAME_MCP_OPENAI_MODEL"),
        (("publish", "--index", "x", "--qdrant", "nowhere"), "FLAME_MCP_QDRANT_URL: give an address"),
        (("publish", "--index", "x", "--qdrant", "http://q", "--min-ratio", "2"), "2.0 is not in the range"),
        (("restore", "--qdrant", "http://q"), "either --file or --snapshot"),
    ],
)
def test_options_and_settings_that_cannot_be_used_are_told(
    result: Path, command: tuple[str, ...], message: str
) -> None:
    done = CliRunner().invoke(main, ["index", *command])
    assert done.exit_code == 2
    told = json.loads(result.read_text())["error"]
    assert (told["kind"], told["step"]) == ("user", command[0])
    assert message in told["message"]
    assert message in done.stderr


def test_a_ratio_may_be_a_variable(result: Path) -> None:
    command = ["index", "publish", "--index", "x", "--qdrant", "http://q"]
    done = CliRunner().invoke(main, command, env={"FLAME_MCP_MIN_RATIO": "2"})
    assert (done.exit_code, "2.0 is not in the range" in result.read_text()) == (2, True)


def test_a_result_that_cannot_be_written_changes_nothing(
    tmp_path: Path, small_docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(outcome.RESULT_FILE, str(tmp_path / "no" / "folder"))
    command = [
        "index",
        "build",
        "--source",
        str(small_docs),
        "--out",
        str(tmp_path / "i"),
        "--embedding",
        "none",
    ]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0
    assert "cannot write" in done.stderr
