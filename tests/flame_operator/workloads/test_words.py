"""Words of others: on one line, bounded, and the same as long as the cause is."""

import json
import time

import pytest

from flame_operator.workloads.words import last_words, of_scheduler, stable


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("", ""),
        (None, ""),
        (7, ""),
        ("one\ntwo\n\n", "two"),
        ("Traceback (most recent call last):\n  File x\nValueError: no index\nbye", "ValueError: no index"),
        ("\x1b[31m2026-01-01T00:00:00.5Z ERROR\x1b[0m no room", "ERROR no room"),
        (
            json.dumps({"event": "stopping", "error": "no key", "timestamp": "2026-01-01T00:00:00Z"}),
            "stopping: no key",
        ),
        (json.dumps({"step": "fetch", "error": {"kind": "user", "message": "no branch"}}), "no branch"),
        ("{error", "{error"),
        ("[" * 4000 + "error", "[" * 299 + "…"),
    ],
    ids=["nothing", "none", "number", "last", "python", "color", "log", "result", "no-json", "brackets"],
)
def test_the_last_words_of_a_container(output: object, told: str) -> None:
    assert last_words(output) == told


def test_what_differs_from_try_to_try_is_left_out() -> None:
    said = "2026-01-0{0}T00:00:00Z error in task {0}f0e1d2c-3b4a-5968-7786-95a4b3c2d1e0 at 0x7ffe000{0}"
    assert last_words(said.format(1)) == last_words(said.format(2)) == "error in task ... at ..."


@pytest.mark.parametrize(
    "text", ['pods "' * 5000, "0/" * 5000, "create Pod a " * 900, ", used: " * 900, "9" * 9000]
)
def test_long_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    for read in (stable, of_scheduler, last_words):
        assert len(read(text)) <= 600
    assert time.process_time() - began < 0.5


def test_control_characters_do_not_pass() -> None:
    assert stable("a\nb\x1b[1m\u202ec") == "a b [1m c"
