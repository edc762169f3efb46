"""The processes of a run: each on its core, none left behind."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.process import cpu_seconds
from benchmarks.server.load import Job, Outcome
from tests.harness.errors import HarnessError
from tests.support.server.server_process import FLAME_MCP, free_port

START_SECONDS = 120.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Cores:
    """Which core serves, and which one asks; both None where there are not two."""

    server: int | None
    client: int | None

    @classmethod
    def choose(cls) -> "Cores":
        """The first two that this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(*usable[:2]) if len(usable) > 1 else cls(None, None)


@dataclass(frozen=True)
class Served:
    """A server that is ready.

    Attributes:
        pid: Its process.
        port: Of loopback.
        ready_seconds: From its start to its first answer of readiness.
        ready_cpu_seconds: What that took of its core.
    """

    pid: int
    port: int
    ready_seconds: float = 0.0
    ready_cpu_seconds: float = 0.0

    @property
    def url(self) -> str:
        """Its MCP endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"


@contextmanager
def serving(core: int | None, **settings: str) -> Iterator[Served]:
    """`flame-mcp serve` with these settings (names without FLAME_MCP_)."""
    port = free_port()
    variables = {"PORT": str(port), "LOG_LEVEL": "info", **settings}
    environment = {f"FLAME_MCP_{name}": value for name, value in variables.items()}
    started = time.perf_counter()
    with _started([*FLAME_MCP, "serve"], core, environment) as (process, log):
        _wait(process, log, lambda: _answers(f"http://127.0.0.1:{port}/health/ready"))
        ready = time.perf_counter() - started
        yield Served(process.pid, port, ready, cpu_seconds(process.pid))


@contextmanager
def floor(core: int | None, answer: Path) -> Iterator[Served]:
    """The framework alone."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.server.floor", str(port), str(answer)]
    # As the server sets them.
    variables = {"FASTMCP_LOG_ENABLED": "false", "FASTMCP_CHECK_FOR_UPDATES": "off"}
    with _started(command, core, variables) as (process, log):
        # It has no probe: that a path is not found says that it serves.
        _wait(process, log, lambda: _answers(f"http://127.0.0.1:{port}/", 404))
        yield Served(process.pid, port)


@contextmanager
def qdrant(core: int | None, index: Path, collection: str) -> Iterator[str]:
    """The address of a Qdrant stand-in with an index published."""
    with _started([sys.executable, "-m", "benchmarks.server.stub"], core, {}) as (process, log):
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise HarnessError(f"the Qdrant stand-in has ended:\n{log.read_text()}")
        flame_mcp("index", "publish", "--index", str(index), "--qdrant", url, "--collection", collection)
        yield url


def flame_mcp(*arguments: str) -> None:
    """Runs a command to its end, on all cores."""
    done = subprocess.run([*FLAME_MCP, *arguments], check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise HarnessError(f"flame-mcp {' '.join(arguments)} failed:\n{done.stderr}")


@dataclass(frozen=True)
class Client:
    """A process that asks, on its core."""

    process: "subprocess.Popen[str]"
    log: Path

    def load(self, job: Job) -> Outcome:
        """Does a job.

        Raises:
            HarnessError: A call was refused.
        """
        assert self.process.stdin is not None  # noqa: S101 - of a Popen with pipes
        assert self.process.stdout is not None  # noqa: S101 - of a Popen with pipes
        self.process.stdin.write(json.dumps(asdict(job)) + "\n")
        self.process.stdin.flush()
        if not (line := self.process.stdout.readline()):
            self.process.wait()
            raise HarnessError(f"the load has failed:\n{self.log.read_text()}")
        return Outcome(**json.loads(line))


@contextmanager
def client(core: int | None) -> Iterator[Client]:
    """A client for all jobs: most of a short job's time would go into starting one."""
    with _started([sys.executable, "-m", "benchmarks.server.load"], core, {}) as (process, log):
        yield Client(process, log)


def _pinned(command: Sequence[str], core: int | None) -> list[str]:
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


@contextmanager
def _started(
    command: Sequence[str], core: int | None, variables: Mapping[str, str]
) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flame-mcp-"))) / "log"
        process = stack.enter_context(
            subprocess.Popen(  # noqa: S603
                _pinned(command, core),
                env={**os.environ, **variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(log.open("w")),
                text=True,
            )
        )
        try:
            yield process, log
        finally:
            process.kill()


def _wait(process: "subprocess.Popen[str]", log: Path, served: Callable[[], bool]) -> None:
    end = time.monotonic() + START_SECONDS
    while not served():
        if process.poll() is not None or time.monotonic() > end:
            raise HarnessError(f"a server has not started:\n{log.read_text()}")
        time.sleep(_POLL_SECONDS)


def _answers(url: str, status: int = 200) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return int(response.status) == status
    except urllib.error.HTTPError as error:
        with error:
            return error.code == status
    except OSError:
        return False
