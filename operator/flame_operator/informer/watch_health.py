"""Notices a watch that has gone blind, by comparing full lists with what the watch has delivered."""

import time
from collections.abc import Callable, Iterable, Mapping

from flame_operator.errors import Blind
from flame_operator.informer.sweep import Scope
from flame_operator.resource.kinds import Key, Manifest, key_of
from flame_operator.telemetry.metrics import Metrics


def behind(listed: Mapping[Scope, int], delivered: Mapping[Scope, int]) -> set[Scope]:
    """The scopes in which a list found something newer than everything that the watch has delivered.

    Every change, even a deletion, gives an object a version above all earlier ones of its kind. So a working
    watch reaches the listed version, whatever happens to the object meanwhile.

    Args:
        listed: The highest resource version in each scope of a list.
        delivered: The highest resource version that the watch has delivered in each scope.
    """
    return {scope for scope, version in listed.items() if version > delivered.get(scope, -1)}


def patience(
    scopes: Iterable[Scope], heard: Mapping[Scope, float], listed_at: float, now: float, grace: float
) -> float:
    """Seconds until the first of these scopes counts as blind; 0 or less when it already does.

    Args:
        scopes: The scopes that are behind.
        heard: When each scope last delivered anything. A scope that delivers is busy, not blind.
        listed_at: When the list ended.
        now: The time, on the same clock.
        grace: How long a scope may be behind without delivering anything.
    """
    return min((max(listed_at, heard.get(scope, listed_at)) for scope in scopes), default=now) + grace - now


class WatchHealth:
    """Remembers what the watch has delivered, and tells when it has gone blind.

    Args:
        namespaced: Whether there is a watch for each namespace, rather than one for all of them.
        grace: How many seconds a scope may be behind without delivering anything.
        metrics: Gets the time of the last event.
        clock: The time in seconds.
    """

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
        """Note that the watch has delivered an event about this object."""
        self.heard(body["kind"], key_of(body), int(body["metadata"]["resourceVersion"]))

    def heard(self, kind: str, key: Key, version: int) -> None:
        """Note that the watch has delivered an event about the object with this kind, key and version."""
        scope = (kind, key.namespace if self._namespaced else "")
        self._delivered[scope] = max(version, self._delivered.get(scope, -1))
        self._heard[scope] = self._clock()
        self._metrics.event_seen(kind)

    def overdue(self, listed: Mapping[Scope, int], listed_at: float) -> float | None:
        """How many seconds the watch still has to catch up; None when it has delivered everything listed.

        Args:
            listed: The highest resource version in each scope of the last list.
            listed_at: When that list ended.

        Raises:
            Blind: The watch has used up its time.
        """
        missing = behind(listed, self._delivered)
        if not missing:
            return None
        seconds = patience(missing, self._heard, listed_at, self._clock(), self._grace)
        if seconds > 0:
            return seconds
        names = ", ".join(f"{kind} in {namespace or 'all namespaces'}" for kind, namespace in sorted(missing))
        raise Blind(
            f"for {self._grace:.0f} s the watch has delivered nothing, although lists find changes: {names}"
        )
