"""The order of things in one process's life."""

import asyncio

import pytest

from flame_operator.errors import Blind, LostLease, UserError
from flame_operator.leadership.lifecycle import Lifecycle, first
from flame_operator.reconcile.queue import WorkQueue
from flame_operator.resource.kinds import Key

A, B = Key("team", "a"), Key("team", "b")


class Scene:
    """An election, a queue and what feeds it, all of which note what happens to them."""

    def __init__(self, *, drain_seconds: float = 30) -> None:
        self.story: list[str] = []
        self.in_contact = True
        self.may_lead = asyncio.Event()
        self.lost = asyncio.Event()
        self.finish = asyncio.Event()
        self.trouble = asyncio.Event()
        self.stop = asyncio.Event()
        self.prime_error: Exception | None = None
        self.queue = WorkQueue(self.reconcile, workers=1)
        self.life = Lifecycle(self, self.queue, drain_seconds=drain_seconds)
        self.task = asyncio.create_task(self.life.run(self.stop, self.prime, [self.background]))

    def valid_for(self) -> float:
        return 0.0 if self.lost.is_set() or not self.may_lead.is_set() else 5.0

    async def acquire(self) -> None:
        await self.may_lead.wait()
        self.story.append("acquired")

    async def hold(self) -> None:
        await self.lost.wait()
        raise LostLease("gone")

    async def release(self) -> None:
        self.story.append("released")

    async def prime(self) -> None:
        self.story.append(f"primed as {self.life.role}")
        if self.prime_error:
            raise self.prime_error
        self.queue.add(A)
        self.queue.add(B)

    async def background(self) -> None:
        self.story.append("watching")
        try:
            await self.trouble.wait()
        finally:
            self.story.append("no longer watching")
        raise Blind("sees nothing")

    async def reconcile(self, key: Key) -> None:
        self.story.append(f"begun {key.name}")
        await self.finish.wait()
        self.story.append(f"done {key.name}")

    async def until(self, event: str) -> None:
        async with asyncio.timeout(5):
            while event not in self.story:  # noqa: ASYNC110 - everything that happens may change it
                await asyncio.sleep(0)

    async def end(self) -> None:
        async with asyncio.timeout(5):
            await self.task


LEADING = ["acquired", "primed as starting", "watching", "begun a"]
DRAINED = ["no longer watching", "done a", "begun b", "done b"]


async def test_nothing_is_done_before_the_lease_is_held() -> None:
    scene = Scene()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (scene.story, scene.life.role) == ([], "standby")
    scene.may_lead.set()
    await scene.until("begun a")
    assert scene.story == LEADING
    assert scene.life.role == "leader"
    scene.finish.set()
    scene.stop.set()
    await scene.end()


async def test_a_stop_drains_the_queue_and_then_hands_over() -> None:
    scene = Scene()
    scene.may_lead.set()
    await scene.until("begun a")
    scene.stop.set()
    await scene.until("no longer watching")
    scene.finish.set()
    await scene.end()
    assert scene.story == [*LEADING, *DRAINED, "released"]
    assert scene.life.role == "stopping"


async def test_a_standby_stops_at_once() -> None:
    scene = Scene()
    scene.stop.set()
    await scene.end()
    assert scene.story == ["released"]


async def test_a_lost_lease_cuts_everything_off_and_gives_nothing_back() -> None:
    scene = Scene()
    scene.may_lead.set()
    await scene.until("begun a")
    scene.lost.set()
    with pytest.raises(LostLease):
        await scene.end()
    assert scene.story == [*LEADING, "no longer watching"]


async def test_a_lease_that_is_lost_while_draining_cuts_that_off() -> None:
    scene = Scene()
    scene.may_lead.set()
    await scene.until("begun a")
    scene.stop.set()
    await scene.until("no longer watching")
    scene.lost.set()
    with pytest.raises(LostLease):
        await scene.end()
    assert scene.story == [*LEADING, "no longer watching"]


async def test_work_that_takes_too_long_is_cut_off_and_the_lease_runs_out() -> None:
    scene = Scene(drain_seconds=0.01)
    scene.may_lead.set()
    await scene.until("begun a")
    scene.stop.set()
    await scene.end()
    assert scene.story == [*LEADING, "no longer watching"]


async def test_a_blind_watch_ends_the_process_after_what_has_begun() -> None:
    scene = Scene()
    scene.may_lead.set()
    await scene.until("begun a")
    scene.trouble.set()
    await scene.until("no longer watching")
    scene.finish.set()
    with pytest.raises(Blind):
        await scene.end()
    assert scene.story == [*LEADING, *DRAINED, "released"]


async def test_what_can_not_begin_hands_over_and_says_why() -> None:
    scene = Scene()
    scene.prime_error = UserError("no rights")
    scene.may_lead.set()
    with pytest.raises(UserError, match="no rights"):
        await scene.end()
    assert scene.story == ["acquired", "primed as starting", "released"]


async def test_the_first_to_end_ends_the_others() -> None:
    ended = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("forever")

    async def failing() -> None:
        raise KeyError("x")

    await first(asyncio.sleep(0), forever())
    assert ended == ["forever"]
    with pytest.raises(KeyError):
        await first(forever(), failing())
    assert ended == ["forever"] * 2
