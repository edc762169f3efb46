import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from flame_operator.errors import Unavailable
from flame_operator.reconcile.queue import FIRST_DELAY, LONGEST_DELAY, Timer, WorkQueue
from flame_operator.resource.kinds import Key
from flame_operator.telemetry.metrics import Metrics


class FakeTimers:
    """Timers that fire when the test says so."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.waiting: list[FakeTimer] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.delays.append(delay)
        timer = FakeTimer(self, callback)
        self.waiting.append(timer)
        return timer

    def fire(self) -> None:
        for timer in list(self.waiting):
            timer.cancel()
            timer.callback()


class FakeTimer:
    def __init__(self, timers: FakeTimers, callback: Callable[[], None]) -> None:
        self.timers, self.callback = timers, callback

    def cancel(self) -> None:
        if self in self.timers.waiting:
            self.timers.waiting.remove(self)


class Work:
    """A handler that notes what it is given and ends when the test lets it."""

    def __init__(self) -> None:
        self.begun: list[Key] = []
        self.running: dict[Key, asyncio.Future[float | None]] = {}

    async def __call__(self, key: Key) -> float | None:
        assert key not in self.running, "two workers on one key"
        self.begun.append(key)
        self.running[key] = asyncio.get_running_loop().create_future()
        try:
            return await self.running[key]
        finally:
            del self.running[key]

    async def end(self, key: Key, result: float | Exception | None = None) -> None:
        if isinstance(result, Exception):
            self.running[key].set_exception(result)
        else:
            self.running[key].set_result(result)
        await settle()


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(workers: int = 1) -> AsyncIterator[tuple[WorkQueue, Work, FakeTimers]]:
    work, timers = Work(), FakeTimers()
    queue = WorkQueue(work, workers=workers, call_later=timers.call_later, jitter=lambda: 1.0)
    task = asyncio.create_task(queue.run())
    await settle()
    yield queue, work, timers
    queue.stop()
    while work.running:
        for key in list(work.running):
            await work.end(key)
    await asyncio.wait_for(task, 5)


A, B, C = Key("n", "a"), Key("n", "b"), Key("m", "c")


async def test_a_waiting_key_is_worked_on_once() -> None:
    async with running() as (queue, work, _):
        for key in (A, B, B, B):
            queue.add(key)
        await settle()
        await work.end(A)
        await work.end(B)
        assert work.begun == [A, B]
        assert queue.depth == 0


async def test_a_key_that_changes_during_work_comes_again_but_never_twice_at_once() -> None:
    async with running(workers=4) as (queue, work, _):
        queue.add(A)
        await settle()
        queue.add(A)
        queue.add(A)
        await settle()
        assert work.begun == [A]
        await work.end(A)
        assert work.begun == [A, A]
        await work.end(A)
        assert work.begun == [A, A]


async def test_no_more_workers_than_asked_for() -> None:
    async with running(workers=2) as (queue, work, _):
        for key in (A, B, C):
            queue.add(key)
        await settle()
        assert len(work.running) == 2


async def test_a_namespace_with_a_thousand_keys_delays_no_other() -> None:
    async with running() as (queue, work, _):
        for number in range(1000):
            queue.add(Key("big", str(number)))
        queue.add(C)
        await settle()
        for _ in range(2):
            await work.end(next(iter(work.running)))
        assert C in work.begun[:3]


@pytest.mark.parametrize("error", [Unavailable("down"), RuntimeError("a bug")])
async def test_failures_come_back_later_and_later_and_take_nobody_down(error: Exception) -> None:
    async with running() as (queue, work, timers):
        queue.add(A)
        for _ in range(12):
            await settle()
            await work.end(A, error)
            timers.fire()
        assert timers.delays[:4] == [FIRST_DELAY * 2**power for power in range(4)]
        assert max(timers.delays) == LONGEST_DELAY
        queue.add(B)
        await settle()
        await work.end(A)
        assert work.begun[-1] == B


async def test_success_forgets_failures() -> None:
    async with running() as (queue, work, timers):
        queue.add(A)
        await settle()
        for result in (Unavailable("down"), Unavailable("down"), None, Unavailable("down")):
            await work.end(A, result)
            timers.fire()
            queue.add(A)
            await settle()
        assert timers.delays == [FIRST_DELAY, FIRST_DELAY * 2, FIRST_DELAY]


async def test_delays_are_jittered() -> None:
    timers, work = FakeTimers(), Work()
    queue = WorkQueue(work, workers=1, call_later=timers.call_later, jitter=lambda: 0.0)
    task = asyncio.create_task(queue.run())
    queue.add(A)
    await settle()
    await work.end(A, Unavailable("down"))
    assert timers.delays == [FIRST_DELAY / 2]
    queue.stop()
    await asyncio.wait_for(task, 5)


async def test_a_change_does_not_wait_for_the_delay() -> None:
    async with running() as (queue, work, timers):
        queue.add(A)
        await settle()
        await work.end(A, 30.0)
        assert timers.delays == [30.0]
        queue.add(A)
        await settle()
        assert work.begun == [A, A]
        assert timers.waiting == []


async def test_a_key_that_fails_while_it_changes_is_not_hammered() -> None:
    async with running() as (queue, work, timers):
        queue.add(A)
        await settle()
        queue.add(A)
        await work.end(A, Unavailable("down"))
        assert work.begun == [A]
        assert len(timers.waiting) == 1


async def test_stopping_finishes_what_waits_and_takes_nothing_more() -> None:
    async with running() as (queue, work, timers):
        queue.add(A)
        queue.add(B)
        await settle()
        queue.stop()
        queue.add(C)
        await work.end(A, Unavailable("down"))
        assert work.begun == [A, B]
        assert timers.waiting == []


async def test_the_age_is_that_of_the_key_that_waits_longest() -> None:
    work, now, metrics = Work(), [100.0], Metrics()
    queue = WorkQueue(work, workers=1, metrics=metrics, clock=lambda: now[0])
    assert queue.oldest_age == 0
    for key in (A, B, C):
        queue.add(key)
        now[0] += 10
    assert queue.oldest_age == 30
    task = asyncio.create_task(queue.run())
    await settle()
    assert queue.oldest_age == 20
    assert metrics.registry.get_sample_value("flame_operator_queue_oldest_age_seconds") == 20
    assert metrics.registry.get_sample_value("flame_operator_queue_depth") == 3
    queue.stop()
    for _ in range(3):
        for key in list(work.running):
            await work.end(key)
    await asyncio.wait_for(task, 5)
    assert queue.oldest_age == 0


async def test_what_became_of_the_work_is_counted() -> None:
    async with running() as (queue, work, timers):
        for result in (None, Unavailable("down"), RuntimeError("a bug")):
            queue.add(A)
            await settle()
            await work.end(A, result)
            timers.fire()
        await settle()
        await work.end(A)
        sample = queue._metrics.registry.get_sample_value
        counted = {
            result: sample("flame_operator_reconciles_total", {"result": result})
            for result in ("ok", "unavailable", "bug")
        }
        assert counted == {"ok": 2, "unavailable": 1, "bug": 1}
        assert sample("flame_operator_reconcile_duration_seconds_count") == 4
        assert sample("flame_operator_queue_retries_total") == 2


async def test_work_that_never_waits_lets_others_run() -> None:
    """A start with thousands of resources at rest kept the lease from being renewed: the process ended."""
    turns = 0
    seen: list[int] = []

    async def at_once(_: Key) -> None:
        seen.append(turns)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    queue = WorkQueue(at_once, workers=1)
    for number in range(100):
        queue.add(Key("team", f"docs-{number}"))
    queue.stop()
    other = asyncio.create_task(others())
    await queue.run()
    other.cancel()
    assert len(set(seen)) > 50
