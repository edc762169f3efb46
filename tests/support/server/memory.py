"""Measures the memory of a piece of code in a process of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

# Not ru_maxrss, which includes the parent's memory from before the process ran its own program.
_PEAK = """
def peak():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
"""


def peak_of(code: str, *arguments: str | Path, timeout: float = 120) -> tuple[int, str]:
    """Runs Python code with these arguments. Returns its peak memory in MiB, and what else it printed.

    The code may call `peak()` for its peak so far.
    """
    program = f"{_PEAK}\n{textwrap.dedent(code)}\nprint(peak())\n"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *said, last = done.stdout.strip().split("\n")
    return int(last), "\n".join(said)
