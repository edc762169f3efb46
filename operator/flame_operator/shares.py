"""Shares what is limited between tenants: slots and tokens. Pure."""

from collections import OrderedDict
from collections.abc import Hashable

RESERVE = 4
"""A tenant that is alone leaves one in so many slots free, and at least one."""
REMEMBERED = 4096
"""How many buckets are remembered, at most; the one used longest ago is forgotten, which fills it."""


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
