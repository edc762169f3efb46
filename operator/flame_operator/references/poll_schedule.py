"""Schedules repeated work: spread over time, limited to a rate, and fair to every namespace."""

import asyncio
import heapq
import itertools
import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

IDLE_SECONDS = 1.0
"""How long to wait before checking again when nothing is due."""

Item = TypeVar("Item", bound=Hashable)


class Schedule(Generic[Item]):
    """Hands out items after a delay. When many are due, namespaces take turns, each with its oldest first.

    Args:
        per_second: How many items are handed out in a second, at most; further ones are late.
        clock: A monotonic clock, in seconds.
        sleep: Waits for a number of seconds.
        jitter: Returns random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._pause = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        # When each item is due. Entries of _later and _due count only as long as they have the same time.
        self._times: dict[Item, float] = {}
        self._later: list[tuple[float, int, str, Item]] = []
        self._due: OrderedDict[str, deque[tuple[float, Item]]] = OrderedDict()
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, item: Item, namespace: str, seconds: float, *, spread: float = 0.2) -> None:
        """Schedule an item, or reschedule it.

        Args:
            item: The item.
            namespace: The namespace that it belongs to.
            seconds: When it is due, from now, at the latest.
            spread: By which share of `seconds` it may be sooner.
        """
        delay = seconds * (1 - spread * (1 - self._jitter()))
        self._times[item] = self._clock() + delay
        heapq.heappush(self._later, (self._times[item], next(self._order), namespace, item))

    def remove(self, item: Item) -> None:
        """Remove an item from the schedule; no error when it isn't scheduled."""
        self._times.pop(item, None)

    async def turn(self) -> Item:
        """Wait for the next item, and remove it from the schedule. For one caller at a time."""
        await self._sleep(self._pause)
        while (item := self._pop()) is None:
            await self._sleep(IDLE_SECONDS)
        return item

    def _pop(self) -> Item | None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, namespace, item = heapq.heappop(self._later)
            self._due.setdefault(namespace, deque()).append((due, item))
        while self._due:
            namespace, waiting = self._due.popitem(last=False)
            due, item = waiting.popleft()
            if waiting:
                self._due[namespace] = waiting
            if self._times.get(item) == due:
                del self._times[item]
                return item
        return None
