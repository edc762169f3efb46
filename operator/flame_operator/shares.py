"""Shares what is limited between tenants: slots, tokens and turns. Pure."""

import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
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
    """Keys that wait for a turn. Every other turn goes to the namespace that has had the fewest of late.

    So whoever comes new waits for nobody who has been served all the time, however many these are. The turns
    between go to the namespace that has asked for the fewest of late, of those that hold no slot: whoever has
    one key, which needs some turns one after the other, doesn't wait for those who bring many keys at once.
    Among equals, the namespace that has waited longest comes first; within a namespace, first come, first
    served. A namespace leaves slots free for others, see `may_have_one_more`.

    Args:
        usage: The turns of each namespace. Several lines may share it.
    """

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._asked = Usage()
        self._keys: dict[str, OrderedDict[_Key, None]] = {}
        self._by_turns, self._by_wishes = _Order(usage), _Order(self._asked)
        self._modest_is_next = False
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, key: _Key, now: float) -> None:
        """Have a key wait, if it doesn't yet."""
        keys = self._keys.setdefault(key.namespace, OrderedDict())
        if key in keys:
            return
        keys[key] = None
        self._length += 1
        self._asked.note(key.namespace, now)
        self._by_turns.add(key.namespace)
        self._by_wishes.add(key.namespace)

    def discard(self, key: _Key) -> None:
        """Have a key wait no longer."""
        keys = self._keys.get(key.namespace)
        if keys is not None and key in keys:
            self._remove(key)

    def pop(self, held: Mapping[str, int], free: int, now: float) -> _Key | None:
        """Take the next key of a namespace that may have a slot, and note its turn; None if there is none.

        Args:
            held: How many slots each namespace holds.
            free: How many slots nobody holds.
            now: The time of a monotonic clock, in seconds.
        """
        namespace = self._modest(held) if self._modest_is_next and free > 0 else None
        self._modest_is_next = namespace is None
        if namespace is None:
            namespace = self._by_turns.first(
                self._waits, lambda one: may_have_one_more(held.get(one, 0), free)
            )
        if namespace is None:
            return None
        key = next(iter(self._keys[namespace]))
        self._remove(key)
        self._usage.note(namespace, now)
        return key

    def _modest(self, held: Mapping[str, int]) -> str | None:
        """The namespace that has asked for the fewest; whoever holds a slot already is no newcomer."""
        return self._by_wishes.first(self._waits, lambda one: not held.get(one))

    def _waits(self, namespace: str) -> bool:
        return namespace in self._keys

    def _remove(self, key: _Key) -> None:
        keys = self._keys[key.namespace]
        del keys[key]
        self._length -= 1
        if not keys:
            del self._keys[key.namespace]


class _Order:
    """Namespaces by their usage, the lowest first."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._heap: list[tuple[float, int, str]] = []
        self._members: set[str] = set()
        self._numbers = itertools.count()

    def add(self, namespace: str) -> None:
        if namespace not in self._members:
            self._members.add(namespace)
            self._push(namespace)

    def first(self, waits: Callable[[str], bool], may_run: Callable[[str], bool]) -> str | None:
        """The first that may run; those that no longer wait are forgotten."""
        kept = []
        found: str | None = None
        while found is None and self._heap:
            weight, number, namespace = heapq.heappop(self._heap)
            if not waits(namespace):
                self._members.remove(namespace)
            elif weight != self._usage.of(namespace):
                self._push(namespace)  # its usage has grown since
            else:
                kept.append((weight, number, namespace))
                found = namespace if may_run(namespace) else None
        for entry in kept:
            heapq.heappush(self._heap, entry)
        return found

    def _push(self, namespace: str) -> None:
        heapq.heappush(self._heap, (self._usage.of(namespace), next(self._numbers), namespace))
