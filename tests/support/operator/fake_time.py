"""Time that passes when the test says so."""

import asyncio


class Clock:
    """A clock that shows what the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeTime:
    """A clock, and a `sleep` for one task that ends when the clock is there."""

    def __init__(self) -> None:
        self.now = 0.0
        self._until = 0.0
        self._more = asyncio.Event()
        self._waits = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wake = self.now + seconds
        while wake > self._until:
            self._more.clear()
            self._waits.set()
            await self._more.wait()
        self.now = max(self.now, wake)
        await asyncio.sleep(0)

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and everything happen that happens meanwhile."""
        self._until += seconds
        self._waits.clear()
        self._more.set()
        await asyncio.wait_for(self._waits.wait(), 10)
        await settle()
        self.now = self._until


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)
