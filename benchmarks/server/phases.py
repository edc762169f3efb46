"""The run: an index, then one server after the other, with the framework alone before and after them."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

from benchmarks.process import cpu_seconds, peak_mib, resident_mib
from benchmarks.server import processes
from benchmarks.server.load import Job, Outcome
from benchmarks.server.processes import Client, Cores, Served
from benchmarks.server.questions import REPEATED, repeated
from benchmarks.server.report import (
    LEXICAL,
    LOCAL,
    MANY,
    Build,
    Load,
    Memory,
    OpenLoop,
    Questions,
    Result,
    Start,
)
from flame_server.index.files import CHUNKS
from flame_server.index.manifest import read_manifest
from tests.harness import flame_docs
from tests.harness.console import step
from tests.support.server.server_process import call_tool

COLLECTION = "benchmark"
_KINDS: tuple[Questions, ...] = ("repeated", "distinct")
STEPS = (1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
# A rate is kept up when so many of its calls are answered while they are counted, and none waits for long.
_KEPT_UP = 0.95
_LONG_MS = 1000


@dataclass(frozen=True)
class Options:
    """What is run.

    Attributes:
        source: What `index build` is told to take.
        seconds: Of each load.
        starts: How often a start is timed.
        steps: Which parts of the rate that many clients at once reached are tried as rates of an open loop:
            the first that is kept up is the highest, or else the last.
        index: A built index to use instead; its build is not timed then.
    """

    source: tuple[str, ...]
    seconds: float = 10.0
    starts: int = 5
    steps: tuple[float, ...] = STEPS
    index: Path | None = None


def flame_source(path: str | None = None) -> tuple[str, ...]:
    """The Flame docs, or one folder of them."""
    folder = flame_docs.folder()
    given = (
        ("--source", str(folder)) if folder else ("--source", flame_docs.REPOSITORY, "--ref", flame_docs.REF)
    )
    return (*given, "--path", path) if path else given


@dataclass
class Run:
    """An index, and what was measured so far."""

    options: Options
    folder: Path
    cores: Cores
    client: Client
    titles: list[str] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    seeds: Iterator[int] = field(default_factory=lambda: count(1))

    def job(self, served: Served, questions: Questions, clients: int = 1, rate: float | None = None) -> Job:
        """A job; distinct questions are others than those of any job before."""
        seed = next(self.seeds) if questions == "distinct" else None
        return Job(served.url, self.titles, self.options.seconds, seed, clients, rate)

    def load(self, name: str, served: Served, questions: Questions, clients: int) -> tuple[Load, Outcome]:
        """One load on a server."""
        cpu = cpu_seconds(served.pid)
        outcome = self.client.load(self.job(served, questions, clients))
        cpu = cpu_seconds(served.pid) - cpu
        per_call = 1000 / outcome.calls
        load = Load(
            name=name,
            questions=questions,
            clients=clients,
            rate=outcome.rate,
            p50_ms=outcome.p50_ms,
            p99_ms=outcome.p99_ms,
            cpu_ms=cpu * per_call,
            client_cpu_ms=outcome.client_cpu_seconds * per_call,
        )
        return load, outcome


def run(options: Options) -> Result:
    """All phases.

    Raises:
        HarnessError: Something did not start, or a question was not answered.
    """
    cores = Cores.choose()
    with tempfile.TemporaryDirectory(prefix="flame-mcp-") as name, processes.client(cores.client) as client:
        this = Run(options, Path(name), cores, client)
        builds, index = _indexes(this)
        this.titles = _titles(index)
        with step("cold start"):
            start = _start(this, index)
        answer = this.folder / "answer.json"
        with step("a typical answer"), processes.serving(this.cores.server, INDEX_DIR=str(index)) as served:
            answer.write_text(_typical_answer(served, this.titles))
        before, size = _floor(this, answer)
        loops = [
            *_embedded(this, LOCAL, index, "Local"),
            *_embedded(this, LEXICAL, index, "None"),
        ]
        _over_qdrant(this, index)
        after, _ = _floor(this, answer)
    return Result(
        pinned=this.cores.server is not None,
        answer_bytes=size,
        floors=[before, after],
        loads=this.loads,
        open_loops=loops,
        memory=this.memory,
        builds=builds,
        start=start,
    )


def _indexes(this: Run) -> tuple[list[Build], Path]:
    if this.options.index:
        return [], this.options.index
    builds = []
    for embedding in ("none", "local"):
        index = this.folder / embedding
        with step(f"index build --embedding {embedding}"):
            started, used = time.monotonic(), _children_cpu_seconds()
            processes.flame_mcp(
                "index", "build", *this.options.source, "--out", str(index), "--embedding", embedding
            )
            seconds, cpu = time.monotonic() - started, _children_cpu_seconds() - used
        manifest = read_manifest(index)
        builds.append(Build(embedding, seconds, cpu, manifest.summary()["documents"], manifest.chunks))
    return builds, index


def _children_cpu_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _titles(index: Path) -> list[str]:
    lines = (index / read_manifest(index).generation / CHUNKS).read_text("utf-8").splitlines()
    return sorted({str(json.loads(line)["title"]) for line in lines})


def _start(this: Run, index: Path) -> Start:
    seconds, cpu, first = [], [], []
    for _ in range(this.options.starts):
        with processes.serving(this.cores.server, INDEX_DIR=str(index)) as served:
            seconds.append(served.ready_seconds)
            cpu.append(served.ready_cpu_seconds)
            first.append(1000 * _first_call(served))
    return Start(seconds, cpu, first)


def _first_call(served: Served) -> float:
    """How long the first question takes: what the framework does late falls to it."""
    started = time.perf_counter()
    call_tool(served.port, {"query": "How does the first question fare?"})
    return time.perf_counter() - started


def _typical_answer(served: Served, titles: list[str]) -> str:
    """The one of middle length among those that are asked for again and again."""
    bodies = [call_tool(served.port, {"query": one})[1] for one in islice(repeated(titles), REPEATED)]
    answers = [json.dumps(body["result"]["structuredContent"]) for body in bodies]
    return sorted(answers, key=len)[REPEATED // 2]


def _floor(this: Run, answer: Path) -> tuple[Load, int]:
    with step("the framework alone"), processes.floor(this.cores.server, answer) as served:
        _first_call(served)
        load, outcome = this.load("framework alone", served, "repeated", MANY)
    return load, outcome.answer_bytes


def _embedded(this: Run, name: str, index: Path, embedding: str) -> list[OpenLoop]:
    settings = {"INDEX_DIR": str(index), "EMBEDDING_TYPE": embedding}
    with processes.serving(this.cores.server, **settings) as served:
        _loads(this, name, served)
        with step(f"{name}: open loop"):
            return [_open_loop(this, name, served, questions) for questions in _KINDS]


def _over_qdrant(this: Run, index: Path) -> None:
    # The stand-in is slow and on the client's core: what counts here is the server's own time.
    with processes.qdrant(this.cores.client, index, COLLECTION) as url:
        settings = {"VECTOR_STORE_TYPE": "Qdrant", "QDRANT_URL": url, "QDRANT_COLLECTION": COLLECTION}
        for embedding in ("Local", "None"):
            with processes.serving(this.cores.server, EMBEDDING_TYPE=embedding, **settings) as served:
                _loads(this, f"Qdrant, {embedding}", served)


def _loads(this: Run, name: str, served: Served) -> None:
    ready = resident_mib(served.pid)
    _first_call(served)
    for questions in _KINDS:
        for clients in (1, MANY):
            with step(f"{name}: {questions} questions, {clients} at once"):
                this.loads.append(this.load(name, served, questions, clients)[0])
    this.memory.append(Memory(name, ready, peak_mib(served.pid), resident_mib(served.pid)))


def _open_loop(this: Run, name: str, served: Served, questions: Questions) -> OpenLoop:
    most = next(
        load.rate
        for load in this.loads
        if (load.name, load.questions, load.clients) == (name, questions, MANY)
    )
    for part in this.options.steps:
        highest = part * most
        outcome = this.client.load(this.job(served, questions, rate=highest))
        if outcome.rate >= _KEPT_UP * highest and outcome.p99_ms < _LONG_MS:
            break
    half = this.client.load(this.job(served, questions, rate=highest / 2))
    return OpenLoop(name, questions, highest, highest / 2, half.p50_ms, half.p99_ms)
