"""Progress for a person: one line per step, with its time, also where there is no terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_QUIET_SECONDS = 30.0  # without a terminal, a long step says this often that it is alive


def _marks(stream: TextIO) -> tuple[str, str, str]:
    """Signs for running, done and failed that the stream's encoding can carry."""
    try:
        "…✓✗".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "...", "ok", "FAILED"
    return "…", "✓", "✗"


def say(text: str) -> None:
    """Prints one plain line."""
    print(text, flush=True)


def _tick(text: str, mark: str, started: float, done: threading.Event, terminal: bool) -> None:
    while not done.wait(1.0 if terminal else _QUIET_SECONDS):
        elapsed = time.monotonic() - started
        line = f"  {mark} {text} ({elapsed:.0f} s)"
        print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Prints `text` with its duration when the block ends, and signs of life while it runs."""
    running, ok, failed = _marks(sys.stdout)
    terminal = sys.stdout.isatty()
    started = time.monotonic()
    if terminal:
        print(f"  {running} {text}", end="", flush=True)
    done = threading.Event()
    ticker = threading.Thread(target=_tick, args=(text, running, started, done, terminal), daemon=True)
    ticker.start()
    mark = failed
    try:
        yield
        mark = ok
    finally:
        done.set()
        ticker.join()
        start_of_line = "\r\x1b[K" if terminal else ""
        print(f"{start_of_line}  {mark} {text} ({time.monotonic() - started:.1f} s)", flush=True)
