"""Whether the watch still sees: what full lists find, against what the watch has delivered."""

import time
from collections.abc import Callable, Iterable, Mapping

from flame_operator.errors import Blind
from flame_operator.informer.sweep import Scope
from flame_operator.resource.kinds import Manifest
from flame_operator.telemetry.metrics import Metrics


def behind(listed: Mapping[Scope, int], delivered: Mapping[Scope, int]) -> set[Scope]:
    """Where a list found something newer than anything that the watch has delivered.

    Every change gives an object a version above all earlier ones of its kind, a deletion too. So a watch that
    sees gets there, whatever happens to the object meanwhile.
    """
    return {scope for scope, version in listed.items() if version > delivered.get(scope, -1)}


def patience(
    scopes: Iterable[Scope], heard: Mapping[Scope, float], listed_at: float, now: float, grace: float
) -> float:
    """Seconds until the first of these scopes counts as blind; 0 or less: it does.

    Args:
        scopes: Those that are behind.
        heard: When each has last delivered anything. One that delivers is busy, not blind.
        listed_at: When the list ended.
        now: The time, on the same clock.
        grace: How long a scope may be behind without delivering anything.
    """
    return min((max(listed_at, heard.get(scope, listed_at)) for scope in scopes), default=now) + grace - now


class WatchHealth:
    """Remembers what the watch has delivered."""

    def __init__(
        self,
        *,
        namespaced: bool,
        grace: float,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._namespaced = namespaced
        self._grace = grace
        self._metrics = metrics or Metrics()
        self._clock = clock
        self._delivered: dict[Scope, int] = {}
        self._heard: dict[Scope, float] = {}

    def delivered(self, body: Manifest) -> None:
        """The watch has delivered an event of this object."""
        kind, metadata = body["kind"], body["metadata"]
        scope = (kind, metadata["namespace"] if self._namespaced else "")
        self._delivered[scope] = max(int(metadata["resourceVersion"]), self._delivered.get(scope, -1))
        self._heard[scope] = self._clock()
        self._metrics.event_seen(kind)

    def overdue(self, listed: Mapping[Scope, int], listed_at: float) -> float | None:
        """How many seconds the watch still has; None when it has delivered all that was listed.

        Raises:
            Blind: It had its time.
        """
        missing = behind(listed, self._delivered)
        if not missing:
            return None
        seconds = patience(missing, self._heard, listed_at, self._clock(), self._grace)
        if seconds > 0:
            return seconds
        names = ", ".join(f"{kind} in {namespace or 'all namespaces'}" for kind, namespace in sorted(missing))
        raise Blind(f"the watch has delivered nothing for {self._grace:.0f} s that lists find: {names}")
