"""What a process costs, from /proc, and when it has come to rest."""

import asyncio
import os
import time
from collections import deque
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.2


def cpu_seconds(pid: int) -> float:
    """Processor time so far, user and system, of all its threads; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_mib(pid: int) -> float:
    """The most memory that was resident at any time since the process started."""
    return _status_mib(pid, "VmHWM")


def resident_mib(pid: int) -> float:
    """The memory that is resident now."""
    return _status_mib(pid, "VmRSS")


def _status_mib(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


async def rest(pid: int, *, seconds: float = 1.0, load: float = 0.05) -> float:
    """Wait until the process has used less than `load` of a processor for `seconds`.

    Returns:
        When that time began, on the monotonic clock; exact to 0.2 s.
    """
    window = int(seconds / _POLL_SECONDS)
    samples: deque[tuple[float, float]] = deque(maxlen=window + 1)
    while True:
        samples.append((time.monotonic(), cpu_seconds(pid)))
        (before, used), (now, total) = samples[0], samples[-1]
        if len(samples) > window and total - used < load * (now - before):
            return before
        await asyncio.sleep(_POLL_SECONDS)
