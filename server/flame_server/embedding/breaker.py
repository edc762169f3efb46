"""A circuit breaker: a failing service is left alone for a while instead of costing questions its timeout."""

import time
from collections.abc import Callable

FAILURES = 3
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0


class CircuitBreaker:
    """Closed while calls succeed; open for a pause after `FAILURES` in a row; then one call tries."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._closed_from = 0.0

    def admits(self) -> bool:
        """Whether a call may be made now. After a pause only the first caller hears yes: its call decides."""
        if self._failures < FAILURES:
            return True
        now = self._clock()
        if now < self._closed_from:
            return False
        self._closed_from = now + self._pause
        return True

    def succeeded(self) -> None:
        """A call has worked: everything is as at the beginning."""
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS

    def failed(self) -> None:
        """A call has failed; each failure of a trying call doubles the pause."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_from = self._clock() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
