"""A verifier whose probe answers as a test wants, in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flame_operator.resource.kinds import Key
from flame_operator.verification.verdict import Finding, Target, Verdict
from flame_operator.verification.verifier import Verifier

KEY = Key("team", "docs")
INTERVAL = 600.0
GOOD = Verdict(True, False, Finding.ANSWERING, "It answers.")


def target(revision: str = "1", interval: float = INTERVAL) -> Target:
    return Target("http://10.0.0.7:80", "docs.team.svc", "None", "q", 1, interval, revision)


def bad(message: str = "refused") -> Verdict:
    return Verdict(False, False, Finding.NOT_ANSWERING, message)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - spreads load


class Lab:
    """A verifier, and what it did; its probe gives `answer(target)` after `takes(target)` seconds."""

    def __init__(self, per_second: float, concurrency: int, jitter: Callable[[], float]) -> None:
        self.answer: Callable[[Target], Verdict] = lambda _: GOOD
        self.takes: Callable[[Target], float] = lambda _: 0.0
        self.checks: list[tuple[float, Target]] = []
        self.changes: list[tuple[float, Key]] = []
        self.observed: list[tuple[Finding, float]] = []
        self.running = self.most = 0
        self.verifier = Verifier(
            self.probe,
            per_second=per_second,
            concurrency=concurrency,
            on_change=lambda key: self.changes.append((self.now, key)),
            observe=lambda finding, seconds: self.observed.append((finding, seconds)),
            jitter=jitter,
        )

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def probe(self, wanted: Target) -> Verdict:
        self.checks.append((self.now, wanted))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.takes(wanted))
            return self.answer(wanted)
        finally:
            self.running -= 1

    @property
    def times(self) -> list[float]:
        return [round(time, 3) for time, _ in self.checks]

    async def until(self, time: float) -> None:
        await asyncio.sleep(time - self.now)


@asynccontextmanager
async def laboratory(
    *, per_second: float = 10, concurrency: int = 128, jitter: Callable[[], float] = lambda: 0.5
) -> AsyncIterator[Lab]:
    lab = Lab(per_second, concurrency, jitter)
    task = asyncio.create_task(lab.verifier.run())
    try:
        yield lab
    finally:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError), result
