import dataclasses
import json
import socket
import time
import urllib.error
import urllib.request
from asyncio import to_thread
from typing import Any

import pytest

from flame_operator.errors import UserError
from flame_operator.telemetry.health import (
    LEAST_SWEEP_AGE,
    Answer,
    Role,
    Vitals,
    is_ready,
    liveness,
    readiness,
    serve,
    trouble,
)
from flame_operator.telemetry.http_server import ANSWERS_PER_SECOND

WELL = Vitals(role="leader", in_contact=True, silent_for=1, sweep_age=600, resync_seconds=600)


@pytest.mark.parametrize(
    ("change", "ill"),
    [
        ({}, False),
        ({"sweep_age": 1801}, True),
        # An outage: a restart would change nothing.
        ({"sweep_age": 1801, "silent_for": 61}, False),
        ({"sweep_age": 1801, "role": "standby"}, False),
        ({"sweep_age": float("inf"), "role": "starting"}, False),
        ({"sweep_age": LEAST_SWEEP_AGE - 1, "resync_seconds": 1}, False),
        ({"sweep_age": LEAST_SWEEP_AGE + 1, "resync_seconds": 1}, True),
    ],
)
def test_only_a_leader_that_sees_no_more_is_restarted(change: dict[str, Any], ill: bool) -> None:
    vitals = dataclasses.replace(WELL, **change)
    assert (trouble(vitals) is not None) == ill
    assert liveness(vitals).status == (503 if ill else 200)


@pytest.mark.parametrize(
    ("role", "in_contact", "ready"),
    [
        ("standby", True, True),
        ("standby", False, False),
        ("starting", True, False),
        ("leader", True, True),
        ("stopping", True, False),
    ],
)
def test_a_standby_is_ready_and_a_leader_once_it_knows_everything(
    role: Role, in_contact: bool, ready: bool
) -> None:
    vitals = dataclasses.replace(WELL, role=role, in_contact=in_contact)
    assert is_ready(vitals) == ready
    assert readiness(vitals).status == (200 if ready else 503)


def test_liveness_shows_what_it_is_given() -> None:
    body = json.loads(liveness(WELL, queue=3).body)
    assert body == {"status": "ok", "role": "leader", "queue": 3}


def fetch(host: str, port: int, path: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


async def test_endpoints_are_served_until_the_end() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answers = {
        "/good": lambda: Answer(200, "text/plain; version=1", b"yes"),
        "/bad": lambda: Answer(503, "a/b", b""),
    }
    async with serve(port, answers):
        assert await to_thread(fetch, "127.0.0.1", port, "/good") == (200, "text/plain; version=1", b"yes")
        assert (await to_thread(fetch, "127.0.0.1", port, "/bad"))[0] == 503
        assert (await to_thread(fetch, "127.0.0.1", port, "/other"))[0] == 404
        with pytest.raises(UserError, match=f"can't listen on port {port}: .* Choose another"):
            async with serve(port, answers):
                pass
    with pytest.raises(OSError, match="refused"):
        await to_thread(fetch, "127.0.0.1", port, "/good")


async def test_an_endpoint_with_a_bug_answers_500_and_the_others_go_on() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def broken() -> Answer:
        raise RuntimeError("a bug")

    async with serve(port, {"/broken": broken, "/good": lambda: Answer(200, "a/b", b"")}):
        assert (await to_thread(fetch, "127.0.0.1", port, "/broken"))[0] == 500
        assert (await to_thread(fetch, "127.0.0.1", port, "/good"))[0] == 200


async def test_an_answer_is_new_unless_somebody_asks_very_often() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made: list[None] = []

    def count() -> Answer:
        made.append(None)
        return Answer(200, "a/b", str(len(made)).encode())

    async with serve(port, {"/count": count}):
        began = time.monotonic()
        answers = [(await to_thread(fetch, "127.0.0.1", port, "/count"))[2] for _ in range(20)]
        seconds = time.monotonic() - began
    assert answers[:ANSWERS_PER_SECOND] == [b"1", b"2", b"3", b"4", b"5"]
    assert len(made) <= ANSWERS_PER_SECOND * (1 + seconds)
