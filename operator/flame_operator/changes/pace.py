"""Spreads reads of changed children, so that one namespace can't have the operator read all the time."""

import time
from collections.abc import Callable, Hashable

PER_SECOND = 1.0
"""How many reads a namespace may cause for long, per second."""
BURST = 100
"""How many reads a namespace may cause at once."""
MOST_REMEMBERED = 4096


class Pace:
    """Gives each read of a namespace its time.

    Args:
        per_second: How many reads a namespace may cause for long, per second.
        burst: How many it may cause at once.
        clock: The time in seconds.
    """

    def __init__(
        self,
        per_second: float = PER_SECOND,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / per_second
        self._slack = (burst - 1) / per_second
        self._clock = clock
        # When a namespace that reads at an even pace would be due, and when reads that have to wait are.
        self._even: dict[str, float] = {}
        self._due: dict[tuple[str, Hashable], float] = {}

    def wait(self, namespace: str, what: Hashable) -> float:
        """In how many seconds something may be read; 0 means now. Ask again then: its turn is kept."""
        now, turn = self._clock(), (namespace, what)
        due = self._due.get(turn)
        if due is None:
            self._tidy(now)
            even = max(now, self._even.get(namespace, now))
            self._even[namespace] = even + self._interval
            due = even - self._slack
        if due > now:
            self._due[turn] = due
            return due - now
        self._due.pop(turn, None)
        return 0.0

    def _tidy(self, now: float) -> None:
        if len(self._even) > MOST_REMEMBERED:
            self._even = {name: even for name, even in self._even.items() if even > now}
        if len(self._due) > MOST_REMEMBERED:
            self._due = {turn: due for turn, due in self._due.items() if due > now}
