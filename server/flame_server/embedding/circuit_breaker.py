"""A circuit breaker: after repeated failures it blocks calls for a while, so that queries do not wait."""

import time
from collections.abc import Callable

FAILURES = 3
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0


class CircuitBreaker:
    """Closed while calls succeed; open for a pause after `FAILURES` in a row, then half-open for a trial."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._closed_from = 0.0

    def admits(self) -> bool:
        """Whether a call may be made now. After a pause only one call is admitted, as a trial."""
        if self._failures < FAILURES:
            return True
        now = self._clock()
        if now < self._closed_from:
            return False
        self._closed_from = now + self._pause
        return True

    def succeeded(self) -> None:
        """Records a successful call and closes the breaker."""
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS

    def failed(self) -> None:
        """Records a failed call; each failed trial doubles the pause."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_from = self._clock() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
