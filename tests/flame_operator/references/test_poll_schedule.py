import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flame_operator.references.poll_schedule import Schedule
from tests.support.operator.fake_time import FakeTime


@asynccontextmanager
async def running(
    per_second: float = 10, jitter: Callable[[], float] = lambda: 1.0
) -> AsyncIterator[tuple[FakeTime, Schedule[str], list[tuple[float, str]]]]:
    """A schedule, and what came up when."""
    time, came = FakeTime(), []
    schedule: Schedule[str] = Schedule(
        per_second=per_second, clock=time.clock, sleep=time.sleep, jitter=jitter
    )

    async def serve() -> None:
        while True:
            item = await schedule.turn()
            came.append((round(time.now, 1), item))

    task = asyncio.create_task(serve())
    try:
        yield time, schedule, came
    finally:
        task.cancel()


async def test_what_is_due_comes_up_once_and_in_order() -> None:
    async with running() as (time, schedule, came):
        schedule.add("later", "n", 20)
        schedule.add("sooner", "n", 10)
        assert len(schedule) == 2
        await time.pass_by(9)
        assert came == []
        await time.pass_by(2)
        assert [item for _, item in came] == ["sooner"]
        await time.pass_by(100)
        assert [item for _, item in came] == ["sooner", "later"]
        assert len(schedule) == 0


async def test_a_new_time_replaces_the_old_one() -> None:
    async with running() as (time, schedule, came):
        schedule.add("a", "n", 10)
        schedule.add("a", "n", 30)
        await time.pass_by(20)
        assert came == []
        schedule.add("a", "n", 1)
        await time.pass_by(100)
        assert [item for _, item in came] == ["a"]


async def test_what_is_removed_does_not_come_up() -> None:
    async with running(per_second=1) as (time, schedule, came):
        for item in ("a", "b", "c"):
            schedule.add(item, "n", 1)
        await time.pass_by(1)  # all are due, and the first has come up
        schedule.remove("b")
        schedule.remove("never there")
        await time.pass_by(10)
        assert [item for _, item in came] == ["a", "c"]


async def test_no_more_than_so_many_in_a_second() -> None:
    async with running(per_second=10) as (time, schedule, came):
        for number in range(100):
            schedule.add(str(number), "n", 0)
        await time.pass_by(5)
        assert 45 <= len(came) <= 50
        assert [item for _, item in came] == [str(number) for number in range(len(came))]


async def test_a_crowded_namespace_delays_no_other() -> None:
    async with running(per_second=10) as (time, schedule, came):
        for namespace in ("large", "larger"):
            for number in range(500):
                schedule.add(f"{namespace} {number}", namespace, 0)
        schedule.add("alone", "other", 1)
        await time.pass_by(5)
        assert next(at for at, item in came if item == "alone") <= 1.3
        shares = [
            sum(item.startswith(f"{namespace} ") for _, item in came) for namespace in ("large", "larger")
        ]
        assert abs(shares[0] - shares[1]) <= 1


async def test_delays_are_spread() -> None:
    edges = iter([0.0, 1.0, 0.0, 1.0])
    async with running(jitter=lambda: next(edges)) as (time, schedule, came):
        schedule.add("early", "n", 100)
        schedule.add("late", "n", 100)
        schedule.add("at once", "n", 60, spread=1)
        schedule.add("at last", "n", 60, spread=1)
        await time.pass_by(200)
        assert [item for _, item in came] == ["at once", "at last", "early", "late"]
        assert [round(at, -1) for at, _ in came] == [0, 60, 80, 100]
