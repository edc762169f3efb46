"""Rate limits: a token bucket for each client."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

# About 2 MB. A bucket that is not used fills up soon, and a full bucket need not be kept.
MAX_CLIENTS = 10_000
# The prefix that one IPv6 subscriber gets.
_IPV6_PREFIX_BITS = 64


class RateLimiter:
    """A bucket for each client: `burst` requests at once, then `per_minute`.

    Args:
        per_minute: Sustained requests a minute.
        burst: Requests that a client may send at once after a quiet time.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def twin(self) -> "RateLimiter":
        """A limiter with the same limits and buckets of its own."""
        other = RateLimiter(1, 1, self._clock)
        other._per_second, other._burst = self._per_second, self._burst
        return other

    def take(self, client: str) -> float:
        """Takes one request from a client's bucket. Returns 0, or the seconds to wait for an empty bucket."""
        now = self._clock()
        left, at = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._buckets[client] = (left if wait else left - 1, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return wait


def peer_of(client: tuple[str, int] | None) -> str:
    """The name of the bucket for requests without a subject: the IP address, or the /64 prefix of IPv6."""
    if client is None:
        return "peer:unknown"
    try:
        address = ip_address(client[0].partition("%")[0])
    except ValueError:
        return "peer:unknown"
    if isinstance(address, IPv6Address):
        return (
            f"peer:{int(address) >> (128 - _IPV6_PREFIX_BITS):x}"
            if not address.ipv4_mapped
            else (f"peer:{address.ipv4_mapped}")
        )
    return f"peer:{address}"
