"""When what has to be looked at again: spread over time, so many per second, fair to every namespace."""

import asyncio
import heapq
import itertools
import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

IDLE_SECONDS = 1.0
"""How long nothing is looked for when nothing is due."""

Item = TypeVar("Item", bound=Hashable)


class Schedule(Generic[Item]):
    """Items that come up after a delay. When many have, namespaces take turns, each with its oldest first.

    Args:
        per_second: How many items come up at most; more than that are late.
        clock: Seconds that only grow.
        sleep: Waits for seconds.
        jitter: Random numbers from 0 to 1.
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
        # An entry of the other two counts only while the item has the same time here.
        self._times: dict[Item, float] = {}
        self._later: list[tuple[float, int, str, Item]] = []
        self._due: OrderedDict[str, deque[tuple[float, Item]]] = OrderedDict()
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, item: Item, namespace: str, seconds: float, *, spread: float = 0.2) -> None:
        """Have the item come up in `seconds` and not as planned before.

        Args:
            item: What comes up.
            namespace: Where it belongs.
            seconds: From now.
            spread: By what share it may be sooner or later.
        """
        delay = seconds * (1 + spread * (2 * self._jitter() - 1))
        self._times[item] = self._clock() + delay
        heapq.heappush(self._later, (self._times[item], next(self._order), namespace, item))

    def remove(self, item: Item) -> None:
        """Have the item not come up any more; nothing happens when it wasn't to."""
        self._times.pop(item, None)

    async def turn(self) -> Item:
        """Wait for the next item, which then has to be added anew. For one caller at a time."""
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
