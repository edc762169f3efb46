"""What was measured, what is wanted, and both as tables. Pure."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.table import table

Questions = Literal["repeated", "distinct"]


@dataclass(frozen=True)
class Load:
    """So many clients at once.

    Attributes:
        name: Of the server.
        rate: Answers a second.
        cpu_ms: The server's processor time a call.
        client_cpu_ms: The client's.
    """

    name: str
    questions: Questions
    clients: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    client_cpu_ms: float


@dataclass(frozen=True)
class OpenLoop:
    """Calls that come by chance: the highest rate that was kept up, and the times at half of it."""

    name: str
    questions: Questions
    highest_rate: float
    rate: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Memory:
    """Resident memory of a server in MiB: when it was ready, at most, and after all calls."""

    name: str
    ready: float
    peak: float
    after: float


@dataclass(frozen=True)
class Build:
    """`flame-mcp index build` on all cores."""

    embedding: str
    seconds: float
    cpu_seconds: float
    pages: int
    chunks: int


@dataclass(frozen=True)
class Start:
    """From the start of a process to its first answer of readiness, each a start of its own.

    Attributes:
        first_call_ms: The time of the first question after that.
    """

    seconds: Sequence[float]
    cpu_seconds: Sequence[float]
    first_call_ms: Sequence[float]


@dataclass(frozen=True)
class Result:
    """A whole run.

    Attributes:
        pinned: Whether server and client had a core each.
        answer_bytes: Of the middle answer; the floor's are as long.
        floors: The framework alone, before and after the rest.
    """

    pinned: bool
    answer_bytes: int
    floors: Sequence[Load]
    loads: Sequence[Load]
    open_loops: Sequence[OpenLoop]
    memory: Sequence[Memory]
    builds: Sequence[Build]
    start: Start

    def load(self, name: str, questions: Questions, clients: int) -> Load:
        """One of `loads`."""
        wanted = (name, questions, clients)
        return next(one for one in self.loads if (one.name, one.questions, one.clients) == wanted)


LOCAL = "Embedded, Local"
LEXICAL = "Embedded, None"
MANY = 32


@dataclass(frozen=True)
class Check:
    """One figure and its target, both in the same unit."""

    name: str
    figure: float
    target: float
    unit: str = ""
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the figure, as it is shown, keeps to the target."""
        figure = round(self.figure, 2)
        return figure >= self.target if self.at_least else figure <= self.target


def checks(result: Result) -> list[Check]:
    """The targets that the project has set itself."""
    floor = sum(one.rate for one in result.floors) / len(result.floors)
    peak = {one.name: one.peak for one in result.memory}
    distinct = next(one for one in result.open_loops if (one.name, one.questions) == (LOCAL, "distinct"))
    repeated = result.load(LOCAL, "repeated", MANY).rate
    return [
        Check("repeated questions over the floor's rate", repeated / floor, 0.4, at_least=True),
        Check("distinct questions", result.load(LOCAL, "distinct", MANY).rate, 60, "/s", at_least=True),
        Check("p99 at half the highest rate", distinct.p99_ms, 100, "ms"),
        Check("ready after", median(result.start.seconds), 3, "s"),
        Check("peak memory, Local", peak[LOCAL], 320, "MiB"),
        Check("peak memory, None", peak[LEXICAL], 200, "MiB"),
    ]


def as_json(result: Result) -> str:
    """For programs."""
    found: dict[str, Any] = asdict(result)
    found["checks"] = [{**asdict(check), "passed": check.passed} for check in checks(result)]
    return json.dumps(found, indent=2)


def as_text(result: Result) -> str:
    """For people."""
    pinned = "server and client on a core each" if result.pinned else "NOT pinned: there are not two cores"
    parts = [
        f"{pinned}; answers of {result.answer_bytes / 1000:.1f} kB",
        _loads(result),
        _open_loops(result),
        _memory(result),
        _builds(result),
        _start(result),
        _targets(result),
    ]
    return "\n\n".join(parts)


def _loads(result: Result) -> str:
    head = ["server", "questions", "clients", "calls/s", "p50 ms", "p99 ms", "CPU ms/call", "client's"]
    rows = [
        [
            one.name,
            one.questions,
            str(one.clients),
            f"{one.rate:.0f}",
            f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}",
            f"{one.cpu_ms:.2f}",
            f"{one.client_cpu_ms:.2f}",
        ]
        for one in (*result.floors, *result.loads)
    ]
    return table([head, *rows])


def _open_loops(result: Result) -> str:
    head = ["open loop", "questions", "highest calls/s", "at calls/s", "p50 ms", "p99 ms"]
    rows = [
        [
            one.name,
            one.questions,
            f"{one.highest_rate:.0f}",
            f"{one.rate:.0f}",
            f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}",
        ]
        for one in result.open_loops
    ]
    return table([head, *rows])


def _memory(result: Result) -> str:
    rows = [[one.name, f"{one.ready:.0f}", f"{one.peak:.0f}", f"{one.after:.0f}"] for one in result.memory]
    return table([["resident MiB", "ready", "peak", "after"], *rows])


def _builds(result: Result) -> str:
    head = ["index build", "seconds", "CPU s", "pages", "chunks", "chunks/s"]
    rows = [
        [
            one.embedding,
            f"{one.seconds:.1f}",
            f"{one.cpu_seconds:.1f}",
            str(one.pages),
            str(one.chunks),
            f"{one.chunks / one.seconds:.1f}",
        ]
        for one in result.builds
    ]
    return table([head, *rows])


def _start(result: Result) -> str:
    times = ", ".join(f"{seconds:.2f}" for seconds in result.start.seconds)
    return (
        f"start to ready: {times} s; {median(result.start.cpu_seconds):.2f} s of CPU; "
        f"first question {median(result.start.first_call_ms):.0f} ms"
    )


def _targets(result: Result) -> str:
    rows = [
        [
            check.name,
            f"{check.figure:.2f} {check.unit}".strip(),
            f"{'>=' if check.at_least else '<='} {check.target:g} {check.unit}".strip(),
            "ok" if check.passed else "missed",
        ]
        for check in checks(result)
    ]
    return table([["target", "measured", "wanted", ""], *rows])
