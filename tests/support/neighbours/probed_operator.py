"""The operator, with a note of how late its event loop is: `python -m ... FILE run ...`.

Each second it appends a line with the latest ticks of that second, in milliseconds, to FILE.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from flame_operator import app
from flame_operator.commands.main import main as command

TICK = 0.01
PROGRAM = ("-m", "tests.support.neighbours.probed_operator")


async def note_lags(target: Path) -> None:
    """Note how late each tick is, by the clock: whatever the machine does counts as well."""
    with target.open("a", buffering=1) as lines:
        while True:
            lags, end = [], time.monotonic() + 1
            while (before := time.monotonic()) < end:
                await asyncio.sleep(TICK)
                lags.append(f"{(time.monotonic() - before - TICK) * 1000:.0f}")
            lines.write(" ".join(lags) + "\n")


def main() -> None:
    """Run the operator's command line, with the note-taker beside it."""
    target, run = Path(sys.argv.pop(1)), app.run

    async def probed(*args: Any, **settings: Any) -> None:  # noqa: ANN401 - whatever `run` takes
        noting = asyncio.create_task(note_lags(target))
        try:
            await run(*args, **settings)
        finally:
            noting.cancel()

    app.run = probed
    command(prog_name="flame-operator")


if __name__ == "__main__":
    main()
