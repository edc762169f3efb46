"""A sampling profiler for the operator: `python -m benchmarks.operator.sampler FILE run ...`.

The kernel's profiling timer interrupts the process by its own processor time, so that waiting costs nothing
and is not counted, and calls cost no more than usual, which cannot be said of cProfile. It counts from
SIGUSR1 to SIGUSR2 and then writes FILE: pairs of a stack, outermost function first, and how often it was met.
"""

import functools
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_SECONDS = 0.002
_LIBRARY = f"python{sys.version_info.major}.{sys.version_info.minor}/"


class Sampler:
    """Counts where the process is."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._stacks: Counter[tuple[str, ...]] = Counter()

    def install(self) -> None:
        """Take the signals."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, lambda *_: self._every(INTERVAL_SECONDS))
        signal.signal(signal.SIGUSR2, lambda *_: self._finish())

    def _every(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, seconds, seconds)

    def _finish(self) -> None:
        self._every(0)
        unfinished = self._target.with_suffix(".part")
        unfinished.write_text(json.dumps(list(self._stacks.items())))
        unfinished.rename(self._target)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append(f"{_file(frame.f_code.co_filename)} {frame.f_code.co_qualname}")
            frame = frame.f_back
        self._stacks[tuple(reversed(stack))] += 1


@functools.cache
def _file(name: str) -> str:
    """The file below site-packages, the standard library or the project."""
    for marker in ("site-packages/", _LIBRARY, "/operator/"):
        if marker in name:
            return name.rpartition(marker)[2]
    return name


def main() -> None:
    """Run the operator's command line under a sampler."""
    target = Path(sys.argv.pop(1))
    Sampler(target).install()
    from flame_operator.commands.main import main as run  # noqa: PLC0415 - what is loaded here is not counted

    run(prog_name="flame-operator")


if __name__ == "__main__":
    main()
