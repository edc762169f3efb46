"""Attacks 4, 5 and 27 (H3, H4): a server under verification answers what is dear to read, or doesn't stop.

Before, 40 checks of servers that answer small objects and hang took 654 MiB. 40 checks of servers that flood
`100 Continue` made the event loop 1.7 s late (99th percentile), and chunks of one byte 1.5 s.
"""

import asyncio
from collections.abc import Iterator

import pytest

from flame_operator.verification import wire
from flame_operator.verification.mcp_check import McpCheck
from flame_operator.verification.verdict import Verdict
from tests.support.operator.evil_pod import ATTACKS, evil_pods
from tests.support.operator.under_attack import checks_at_once, target
from tests.support.slowness import slowness

READY, HANDSHAKE, TOOLS = "GET /health/ready failed", "The MCP handshake failed", "The list of tools failed"
NOT_HTTP, NOT_MCP = "the server's answer isn't HTTP", "the server's answer isn't MCP"
TOO_LARGE = "the server's answer is larger than {} KiB"
TOO_MANY_CHUNKS = "the server's answer has more than 1024 chunks"
TOO_MANY_VALUES = "the server's answer has more than 16,384 values"
TOO_MANY_LINES = "the server's answer has more than 1,024 lines of events"
FOUND = {
    "small objects": f"{HANDSHAKE}: {TOO_LARGE.format(16)}.",
    "small objects in tools/list": f"{TOOLS}: {TOO_MANY_VALUES}.",
    "objects in objects": f"{TOOLS}: {NOT_MCP}.",
    "commas": f"{TOOLS}: {TOO_MANY_VALUES}.",
    "deep JSON": f"{TOOLS}: {NOT_MCP}.",
    "large answers that hang": "The canary query failed: no complete answer within 1 seconds.",
    "100 Continue": f"{READY}: {NOT_HTTP}.",
    "103 Early Hints": f"{READY}: {NOT_HTTP}.",
    "chunk extension": f"{READY}: {NOT_HTTP}.",
    "chunk extensions": f"{READY}: {TOO_MANY_CHUNKS}.",
    "tiny chunks": f"{READY}: {TOO_MANY_CHUNKS}.",
    "zeros before a size": f"{READY}: {NOT_HTTP}.",
    "trailers": f"{READY}: {NOT_HTTP}.",
    "one trailer": f"{READY}: {NOT_HTTP}.",
    "headers": f"{READY}: {NOT_HTTP}.",
    "one header": f"{READY}: {NOT_HTTP}.",
    "status line": f"{READY}: {NOT_HTTP}.",
    "spaces in headers": f"{READY}: {NOT_HTTP}.",
    "empty lines": f"{READY}: {NOT_HTTP}.",
    "endless body": f"{READY}: {TOO_LARGE.format(16)}.",
    "endless chunks": f"{READY}: {TOO_LARGE.format(16)}.",
    "a huge length": f"{READY}: {TOO_LARGE.format(16)}.",
    "a negative length": f"{READY}: {NOT_HTTP}.",
    "two lengths": f"{READY}: {NOT_HTTP}.",
    "a length and chunks": f"{READY}: {NOT_HTTP}.",
    "unknown encoding": f"{READY}: {NOT_HTTP}.",
    "switches protocols": f"{READY}: the server answers with HTTP status 101.",
    "events": f"{TOOLS}: {TOO_MANY_LINES}.",
    "one endless event": f"{TOOLS}: {TOO_LARGE.format(256)}.",
    "small events": f"{TOOLS}: {TOO_MANY_LINES}.",
    "event lines": f"{TOOLS}: {TOO_MANY_LINES}.",
    "objects in events": f"{TOOLS}: {TOO_MANY_VALUES}.",
    "gzip": f"{HANDSHAKE}: {NOT_MCP}.",
    "drips": f"{READY}: no complete answer within 1 seconds.",
    "drips of a body": "The canary query failed: no complete answer within 1 seconds.",
    "chunks that never end a line": f"{READY}: {NOT_HTTP}.",
    "more than a check takes": "The canary query failed: the server sends more than 512 KiB in one check.",
    "closes": "The MCP handshake and the canary query were answered.",
    "streams that stay open": "The MCP handshake and the canary query were answered.",
    "repeated lengths": "The MCP handshake and the canary query were answered.",
}
OVERRUNS = (NOT_HTTP, "larger than", "more than")
HONEST_MISTAKES = {
    "a negative length",
    "two lengths",
    "a length and chunks",
    "unknown encoding",
    "empty lines",
}
"""Answers that aren't HTTP, but not more than a check takes."""


@pytest.fixture(scope="module")
def pods() -> Iterator[dict[str, int]]:
    with evil_pods() as ports:
        yield ports


async def checked(port: int, *, seconds: float = 30) -> Verdict:
    return await McpCheck(timeout_seconds=seconds)(target(port))


def test_every_kind_has_a_verdict() -> None:
    assert FOUND.keys() | {"answers twice"} == ATTACKS.keys()


@pytest.mark.parametrize(("kind", "message"), FOUND.items())
async def test_what_is_found(pods: dict[str, int], kind: str, message: str) -> None:
    hangs = "no complete answer" in message
    verdict = await checked(pods[kind], seconds=1 if hangs else 30)
    assert verdict.message == message
    overruns = any(text in message for text in OVERRUNS) and kind not in HONEST_MISTAKES
    assert verdict.overrun == (overruns or kind == "objects in objects")


@pytest.mark.parametrize(
    "kind",
    ["100 Continue", "chunk extension", "chunk extensions", "tiny chunks", "trailers", "drips", "events"],
)
def test_forty_floods_at_once(pods: dict[str, int], kind: str) -> None:
    costs = checks_at_once([pods[kind]], 40, timeout_seconds=2)
    assert sum(costs.messages.values()) == 40
    assert costs.late_ms < 100 * slowness()
    assert costs.latest_ms < 250 * slowness()
    assert costs.cpu_seconds < slowness()
    assert costs.grown_mib < 24


def test_all_kinds_at_once(pods: dict[str, int]) -> None:
    """As many checks as may run at once."""
    costs = checks_at_once(list(pods.values()), 128, timeout_seconds=5)
    assert costs.late_ms < 100 * slowness()
    assert costs.latest_ms < 250 * slowness()
    assert costs.grown_mib < 40


@pytest.mark.parametrize("kind", ["small objects", "small objects in tools/list", "large answers that hang"])
def test_answers_that_take_memory(pods: dict[str, int], kind: str) -> None:
    """128 answers of 255 KiB would take 32 MiB, but all together hold 8 MiB at most."""
    costs = checks_at_once([pods[kind]], 128, timeout_seconds=3)
    assert sum(costs.messages.values()) == 128
    assert costs.grown_mib < 20


async def test_an_honest_check_among_large_answers_that_hang(
    pods: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What all checks hold is bounded; the oldest is given up, with the verdict that it would get."""
    check = McpCheck(timeout_seconds=20)
    monkeypatch.setattr(check, "_held", wire.HeldBytes(600_000))
    hanging = [asyncio.create_task(check(target(pods["large answers that hang"]))) for _ in range(4)]
    given_up, _ = await asyncio.wait(hanging, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert given_up
    for task in given_up:
        message = "The canary query failed: no complete answer within 20 seconds."
        assert task.result().message == message
        assert not task.result().overrun
    assert (await check(target(pods["closes"]))).ok
    assert check._held.total <= 600_000
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    assert check._held.total == 0


async def test_answers_that_nobody_asked_for(pods: dict[str, int]) -> None:
    """They may be taken for the next answer, or not; the check ends either way."""
    assert (await checked(pods["answers twice"])).ok in (True, False)
