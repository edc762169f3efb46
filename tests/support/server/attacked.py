"""A server to attack, and honest clients beside the attackers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flame_server.index.build import build_index
from tests.support.server.server_process import FLAME_MCP, call_tool, free_port, get, ready, running
from tests.support.server.small_docs import AUDIO, CAMERA, quiet


def small_index(folder: Path) -> Path:
    """An index without embeddings."""
    for name, text in {"flame/camera.md": CAMERA, "bridge/audio.md": AUDIO}.items():
        page = folder / "docs" / "doc" / name
        page.parent.mkdir(parents=True)
        page.write_text(text)
    build_index(str(folder / "docs"), folder / "index", embedding="none", report=quiet)
    return folder / "index"


@dataclass(frozen=True)
class Attacked:
    """A server as a process of its own."""

    pid: int
    port: int
    metrics_port: int

    def mebibytes(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def ask(self, count: int, **headers: str) -> list[float]:
        """Asks honest questions, each on a connection of its own; the sorted seconds that each took."""
        took = []
        for _ in range(count):
            started = time.perf_counter()
            status, _ = call_tool(self.port, {"query": "viewport"}, **headers)
            assert status == 200
            took.append(time.perf_counter() - started)
        return sorted(took)

    def metric(self, line: str) -> float:
        """The value of the sample that begins with this name and these labels."""
        text = get(self.metrics_port, "/metrics")[1]
        return next(float(found.rpartition(" ")[2]) for found in text.splitlines() if found.startswith(line))


@contextmanager
def attacked(index: Path, log: Path, **settings: str) -> Iterator[Attacked]:
    """A ready server with these settings; it must still run in the end, without a failure in its log."""
    metrics_port = free_port()
    all_settings = {"METRICS_PORT": str(metrics_port), "LOG_LEVEL": "error", **settings}
    with running([*FLAME_MCP, "serve"], index, log, **all_settings) as (process, port):
        ready(process, port)
        yield Attacked(process.pid, port, metrics_port)
        assert process.poll() is None
    text = log.read_text(errors="replace")
    assert "Traceback" not in text, text[-2_000:]
