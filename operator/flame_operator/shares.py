"""Shares what is limited between tenants: slots, tokens and turns. Pure."""

import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

RESERVE = 4
"""A tenant that is alone leaves one in so many slots free, and at least one."""
REMEMBERED = 4096
"""How many buckets, and uses, are remembered, at most; the one used longest ago is forgotten."""
HALVED_SECONDS = 60.0
"""After how many seconds a turn counts half."""


def may_have_one_more(held: int, free: int) -> bool:
    """Whether a tenant may take one more slot, so that some are left for whoever comes next.

    The first slot is everybody's right. With each further one a tenant has at most three times as many as are
    free then: of 16 slots one tenant has 12, two that come together have 7 and 6, and the more there are, the
    fewer each has. Slots are never taken back, so a tenant that came first keeps what it holds until it ends.

    Args:
        held: How many slots the tenant holds.
        free: How many slots nobody holds.
    """
    return free > 0 and (held == 0 or held + 1 <= (RESERVE - 1) * (free - 1))


class Buckets:
    """A token bucket for each tenant or object; each starts full.

    Args:
        burst: How many tokens a bucket holds.
        refill_seconds: How long one more token takes.
    """

    def __init__(self, burst: int, refill_seconds: float) -> None:
        self._burst = float(burst)
        self._refill_seconds = refill_seconds
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, whose: Hashable, now: float) -> bool:
        """Take a token; returns whether there was one.

        Args:
            whose: Whose bucket.
            now: The time of a monotonic clock, in seconds.
        """
        tokens, since = self._buckets.pop(whose, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) / self._refill_seconds)
        allowed = tokens >= 1
        self._buckets[whose] = (tokens - allowed, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed


class Usage:
    """Remembers how many turns each namespace has had of late; older ones count less and less."""

    def __init__(self) -> None:
        # As all turns lose weight alike, those of each namespace can be added once, at the weight that they
        # would have at time 0: a logarithm, since it grows for ever.
        self._weights: OrderedDict[str, float] = OrderedDict()

    def of(self, namespace: str) -> float:
        """A number that is larger for a namespace that has had more; minus infinity if it had none."""
        return self._weights.get(namespace, -math.inf)

    def note(self, namespace: str, now: float) -> None:
        """Note a turn, at a time of a monotonic clock in seconds."""
        one, before = now / HALVED_SECONDS * math.log(2), self._weights.pop(namespace, -math.inf)
        high, low = max(one, before), min(one, before)
        self._weights[namespace] = high + math.log1p(math.exp(low - high))
        if len(self._weights) > REMEMBERED:
            self._weights.popitem(last=False)


class Namespaced(Hashable, Protocol):
    """A key that belongs to a namespace."""

    @property
    def namespace(self) -> str:
        """The name of the namespace."""


_Key = TypeVar("_Key", bound=Namespaced)


class Line(Generic[_Key]):
    """Keys that wait for a turn. The next one is of the namespace that has had the fewest of late.

    So whoever comes new waits for nobody who has been served all the time, however many these are. Among
    equals, the namespace that has waited longest comes first; within a namespace, first come, first served.

    Args:
        usage: The turns of each namespace. Several lines may share it.
    """

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._keys: dict[str, OrderedDict[_Key, None]] = {}
        self._order: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, key: _Key) -> None:
        """Have a key wait, if it doesn't yet."""
        if key.namespace not in self._keys:
            self._keys[key.namespace] = OrderedDict()
            self._enter(key.namespace)
        keys = self._keys[key.namespace]
        self._length += key not in keys
        keys[key] = None

    def discard(self, key: _Key) -> None:
        """Have a key wait no longer."""
        keys = self._keys.get(key.namespace)
        if keys is not None and key in keys:
            del keys[key]
            self._length -= 1

    def pop(self, may_run: Callable[[str], bool], now: float) -> _Key | None:
        """Take the next key of a namespace that `may_run`, and note its turn; None if there is none."""
        passed_over = []
        key: _Key | None = None
        while key is None and self._order:
            weight, number, namespace = heapq.heappop(self._order)
            if not self._keys[namespace]:
                del self._keys[namespace]
            elif weight != self._usage.of(namespace):
                self._enter(namespace)  # it has had turns of another line
            elif not may_run(namespace):
                passed_over.append((weight, number, namespace))
            else:
                key, _ = self._keys[namespace].popitem(last=False)
                self._length -= 1
                self._usage.note(namespace, now)
                self._enter(namespace)
        for entry in passed_over:
            heapq.heappush(self._order, entry)
        return key

    def _enter(self, namespace: str) -> None:
        heapq.heappush(self._order, (self._usage.of(namespace), next(self._numbers), namespace))
