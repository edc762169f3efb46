"""Measures what a process spends while it is attacked, whatever else the machine does.

Run with arguments, it makes checks of evil pods, in a process of its own.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flame_operator.verification.mcp_check import McpCheck
from flame_operator.verification.verdict import Target

ROOT = Path(__file__).resolve().parents[3]
TICK = 0.005


@dataclass
class Costs:
    """What an attack cost.

    Attributes:
        grown_mib: How much the resident memory grew at its peak.
        late_ms: How late the event loop was, the 99th percentile, in time that this process spent.
        latest_ms: The latest it was.
        cpu_seconds: The CPU time.
        seconds: The time.
        messages: The verdicts, with their number.
    """

    grown_mib: float = 0
    late_ms: float = 0
    latest_ms: float = 0
    cpu_seconds: float = 0
    seconds: float = 0
    messages: dict[str, int] = field(default_factory=dict)


def target(port: int) -> Target:
    return Target(f"http://127.0.0.1:{port}", "docs.team.svc", "None", "q", 1, 600, "1")


def resident_mib(name: str = "VmRSS") -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def _tick(lags: list[float]) -> None:
    """Note how late each tick is: by the CPU time of this thread, since other processes use the cores too."""
    while True:
        spent = time.thread_time()
        await asyncio.sleep(TICK)
        lags.append(time.thread_time() - spent)


@asynccontextmanager
async def measured() -> AsyncIterator[Costs]:
    """Measures what happens in the context, in this process."""
    costs, lags = Costs(), [0.0]
    reset_peak()
    before, spent, began = resident_mib(), time.process_time(), time.monotonic()
    ticking = asyncio.create_task(_tick(lags))
    try:
        yield costs
    finally:
        ticking.cancel()
        costs.grown_mib = resident_mib("VmHWM") - before
        costs.cpu_seconds, costs.seconds = time.process_time() - spent, time.monotonic() - began
        lags.sort()
        costs.late_ms, costs.latest_ms = lags[int(0.99 * (len(lags) - 1))] * 1000, lags[-1] * 1000


async def main(ports: Sequence[int], count: int, timeout_seconds: float) -> None:
    check = McpCheck(timeout_seconds=timeout_seconds)
    async with measured() as costs:
        verdicts = await asyncio.gather(*(check(target(ports[n % len(ports)])) for n in range(count)))
    costs.messages = dict(Counter(verdict.message for verdict in verdicts))
    print(json.dumps(asdict(costs)))


def checks_at_once(ports: Sequence[int], count: int, *, timeout_seconds: float = 10) -> Costs:
    """The costs of `count` checks at once, spread over pods."""
    command = [sys.executable, "-m", "tests.support.operator.under_attack"]
    command += [json.dumps(list(ports)), str(count), str(timeout_seconds)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=90)
    return Costs(**json.loads(done.stdout))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
