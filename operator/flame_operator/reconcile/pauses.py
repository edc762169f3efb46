"""Decides how long a key has to wait for its next pass, when it has had many of late."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from flame_operator.resource.kinds import Key

AT_ONCE = 40
"""How many passes a key may have at once; a server that is created needs 5 to 20."""
HALVED_SECONDS = 120.0
"""After how many seconds a pass counts half."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
_DOUBLED = 4
"""After how many passes more the pause is twice as long."""


class _Passes(NamedTuple):
    many: float
    """How many there were of late: older ones count less."""
    last: float
    """When the last one began."""

    def count_at(self, now: float) -> float:
        return self.many * math.pow(0.5, max(0.0, now - self.last) / HALVED_SECONDS)


def pause(count: float) -> float:
    """How many seconds lie between two passes of a key that has had so many of late."""
    if count <= AT_ONCE:
        return 0.0
    return min(LONGEST_PAUSE, FIRST_PAUSE * math.pow(2, min((count - AT_ONCE) / _DOUBLED, 20)))


class Pauses:
    """Remembers how many passes keys have had of late.

    Somebody who changes a child again and again causes a pass each time. After the first of these, the pauses
    grow to some 3 s; without passes, a key is as before within minutes.

    Args:
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._passes: dict[Key, _Passes] = {}
        self._tidy_at = 1024

    def begun(self, key: Key) -> None:
        """Note that a pass over a key begins."""
        now, known = self._clock(), self._passes.get(key)
        self._passes[key] = _Passes(1 + (known.count_at(now) if known else 0.0), now)
        if len(self._passes) >= self._tidy_at:
            self._passes = {one: had for one, had in self._passes.items() if had.count_at(now) > 0.5}
            self._tidy_at = 2 * len(self._passes) + 1024

    def seconds(self, key: Key) -> float:
        """How many seconds a key has to wait for its next pass; 0 means none."""
        known = self._passes.get(key)
        return 0.0 if known is None else max(0.0, known.last + pause(known.many) - self._clock())
