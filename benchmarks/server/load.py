"""A client in a process of its own: `python -m benchmarks.server.load`, with jobs as JSON on standard input.

Plain HTTP with one JSON-RPC request a call, as stateless servers take it: a client library would be measured
too.
"""

import asyncio
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import aiohttp

from benchmarks.server.questions import distinct, repeated

WARM_UP = 0.2
"""The part of a job's time whose calls are made but not counted."""
_MAX_WAITING = 2_000
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-06-18",
}
_ANSWERED = b'"isError":false'


@dataclass(frozen=True)
class Job:
    """What is asked, and how.

    Attributes:
        url: Of the server's MCP endpoint.
        titles: Headings that questions are made of.
        seconds: How long to ask.
        seed: For distinct questions; None repeats a few.
        clients: So many ask, each anew when it has its answer.
        rate: Instead: so many calls a second, by chance, whatever becomes of those before.
    """

    url: str
    titles: Sequence[str]
    seconds: float
    seed: int | None = None
    clients: int = 1
    rate: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        calls: All of them, those while warming up included.
        rate: Answers a second, without warming up.
        p50_ms: Of the time from when a call was due to its whole answer.
        p99_ms: As `p50_ms`.
        answer_bytes: Of the middle answer.
        client_cpu_seconds: Of this process, for all calls.
    """

    calls: int
    rate: float
    p50_ms: float
    p99_ms: float
    answer_bytes: int
    client_cpu_seconds: float


class RefusedError(Exception):
    """The server gave something else than an answer."""


@dataclass
class _Run:
    job: Job
    session: aiohttp.ClientSession
    questions: Iterator[str]
    started: float = field(default_factory=time.perf_counter)
    latencies: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    calls: int = 0
    finished: float = 0.0

    @property
    def counted_from(self) -> float:
        return self.started + WARM_UP * self.job.seconds

    @property
    def end(self) -> float:
        return self.started + self.job.seconds

    async def call(self, due: float) -> None:
        """One call; counts unless its answer comes while warming up."""
        self.calls += 1
        question = {"name": "get_flame_knowledge", "arguments": {"query": next(self.questions)}}
        message = {"jsonrpc": "2.0", "id": self.calls, "method": "tools/call", "params": question}
        async with self.session.post(self.job.url, json=message) as response:
            body = await response.read()
            if response.status != 200 or _ANSWERED not in body:
                raise RefusedError(f"{response.status}: {body[:500].decode('utf-8', 'replace')}")
        self.finished = time.perf_counter()
        if self.finished >= self.counted_from:
            self.latencies.append(self.finished - due)
            self.sizes.append(len(body))


async def _closed(run: _Run) -> None:
    async def client() -> None:
        while (now := time.perf_counter()) < run.end:
            await run.call(now)

    async with asyncio.TaskGroup() as group:
        for _ in range(run.job.clients):
            group.create_task(client())


async def _open(run: _Run, rate: float) -> None:
    chance = random.Random(1)  # noqa: S311 - the same arrivals in every run
    due = run.started
    waiting: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        while (due := due + chance.expovariate(rate)) < run.end and len(waiting) < _MAX_WAITING:
            await asyncio.sleep(due - time.perf_counter())
            task = group.create_task(run.call(due))
            waiting.add(task)
            task.add_done_callback(waiting.discard)


async def perform(job: Job) -> Outcome:
    """Does a job.

    Raises:
        ExceptionGroup: Of `RefusedError` or what the connection ended with.
    """
    connections = aiohttp.TCPConnector(limit=job.clients if job.rate is None else _MAX_WAITING)
    async with aiohttp.ClientSession(connector=connections, headers=_HEADERS) as session:
        questions = repeated(job.titles) if job.seed is None else distinct(job.titles, job.seed)
        run = _Run(job, session, questions)
        cpu = time.process_time()
        await (_closed(run) if job.rate is None else _open(run, job.rate))
        cpu = time.process_time() - cpu
    return Outcome(
        calls=run.calls,
        rate=len(run.latencies) / (max(run.end, run.finished) - run.counted_from),
        p50_ms=1000 * percentile(run.latencies, 0.5),
        p99_ms=1000 * percentile(run.latencies, 0.99),
        answer_bytes=int(percentile(run.sizes, 0.5)),
        client_cpu_seconds=cpu,
    )


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` of all values do not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def main() -> None:
    """Reads jobs, does one after the other, prints a line with the outcome of each."""
    for line in sys.stdin:
        outcome = asyncio.run(perform(Job(**json.loads(line))))
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
