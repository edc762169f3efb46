"""A pod that says what a test has written, in memory and piece by piece, to a check on the virtual loop."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from flame_operator.verification.mcp_check import McpCheck
from flame_operator.verification.verdict import Target, Verdict
from flame_operator.verification.wire import HeldBytes
from tests.support.operator.virtual_time import run_virtually


class Said(NamedTuple):
    """An answer of the pod: pieces that arrive one by one, and what happens after them."""

    pieces: Sequence[bytes]
    closes: bool


class _Socket:
    def setsockopt(self, *_: int) -> None:
        """Take any option."""


class _Transport(asyncio.Transport):
    def __init__(self, protocol: asyncio.BufferedProtocol, answers: list[Said]) -> None:
        super().__init__({"socket": _Socket()})
        self._protocol, self._answers = protocol, answers
        self._pending: list[bytes] = []
        self._closes = self._reading = self._closed = False
        self._loop = asyncio.get_running_loop()
        protocol.connection_made(self)
        self.resume_reading()

    def write(self, data: Any) -> None:  # noqa: ANN401, ARG002 - any request gets the next answer
        if self._answers and not self._closed:
            said = self._answers.pop(0)
            self._pending += [piece for piece in said.pieces if piece]
            self._closes = said.closes
            self.resume_reading()

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def _deliver(self) -> None:
        if self._closed or not self._reading:
            return
        if not self._pending:
            if self._closes:
                self.abort()
            return
        space = memoryview(self._protocol.get_buffer(-1))
        piece = self._pending.pop(0)
        count = min(len(piece), len(space))
        space[:count] = piece[:count]
        if piece[count:]:
            self._pending.insert(0, piece[count:])
        self._protocol.buffer_updated(count)
        self._loop.call_soon(self._deliver)


class Held(HeldBytes):
    """Notes the most that was held at once."""

    most = 0

    def hold(self, wire: Any, count: int) -> None:  # noqa: ANN401
        super().hold(wire, count)
        self.most = max(self.most, self.total)


class Checked(NamedTuple):
    """What came of a check.

    Attributes:
        verdict: The verdict.
        held: The most bytes that the check held at once.
        connections: How many connections the check made.
        slowest: The longest that it kept the event loop, in seconds of CPU time.
    """

    verdict: Verdict
    held: int
    connections: int
    slowest: float


@contextmanager
def slowest_callback() -> Iterator[list[float]]:
    """Collects how long each callback of event loops takes, in seconds of CPU time."""
    seconds = [0.0]
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        before = time.thread_time()
        run(handle)
        seconds.append(time.thread_time() - before)

    gc.disable()  # what the test itself has made takes longer to look through than any callback
    try:
        with patch.object(asyncio.Handle, "_run", timed):
            yield seconds
    finally:
        gc.enable()


def check_of(*answers: Said, auth: Any = "None") -> Checked:  # noqa: ANN401
    """Check a pod that gives these answers to requests, one after the other."""
    left = list(answers)
    held = Held()
    connections = 0

    async def connect(protocol: Callable[[], asyncio.BufferedProtocol], *_: object) -> Any:  # noqa: ANN401
        nonlocal connections
        connections += 1
        made = protocol()
        return _Transport(made, left), made

    async def check() -> Verdict:
        mcp = McpCheck()
        mcp._held = held
        target = Target("http://10.0.0.7:80", "docs.team.svc", auth, "q", 1, 600, "1")
        with patch.object(asyncio.get_running_loop(), "create_connection", connect):
            return await mcp(target)

    with slowest_callback() as seconds:
        verdict = run_virtually(check())
    return Checked(verdict, held.most, connections, max(seconds))


def split(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The data in pieces of these sizes, again and again."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = max(1, sizes[turn % len(sizes)])
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces
