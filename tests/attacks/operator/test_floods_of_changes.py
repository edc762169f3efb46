"""Attacks on the operator's time by tenants who change a child of their own again and again."""

import asyncio
from contextlib import suppress
from itertools import pairwise

from flame_operator.reconcile.pauses import AT_ONCE, LONGEST_PAUSE, Pauses, pause
from flame_operator.reconcile.queue import WorkQueue
from flame_operator.resource.kinds import Key
from tests.support.operator.virtual_time import virtually

TENANT, HONEST = Key("tenant", "docs"), Key("honest", "docs")


async def flood(queue: WorkQueue, seconds: float) -> None:
    """Somebody changes a child 50 times a second."""
    for _ in range(int(seconds * 50)):
        queue.add(TENANT)
        await asyncio.sleep(0.02)


def passes() -> tuple[list[tuple[float, Key]], WorkQueue]:
    begun: list[tuple[float, Key]] = []
    clock = asyncio.get_running_loop().time

    async def note(key: Key) -> None:
        begun.append((clock(), key))

    return begun, WorkQueue(note, workers=4, clock=clock)


@virtually
async def test_a_child_that_is_changed_fifty_times_a_second() -> None:
    """Attack on the loop: 50 changes a second of an own child were 50 passes a second, and as many writes."""
    begun, queue = passes()
    task = asyncio.create_task(queue.run())
    await flood(queue, 600)
    count = len(begun)
    assert count < AT_ONCE + 600 / 3
    late = [time for time, _ in begun if time > 300]
    assert len(late) < 300 / 3
    assert max(later - time for time, later in pairwise(late)) <= LONGEST_PAUSE
    queue.add(HONEST)
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert begun[-1][1] == HONEST
    # The last change of all is handled; after some quiet, changes are handled at once again.
    last = begun[-1][0]
    await asyncio.sleep(LONGEST_PAUSE)
    assert begun[-1][0] >= last
    await asyncio.sleep(600)
    now = asyncio.get_running_loop().time()
    queue.add(TENANT)
    await asyncio.sleep(0.01)
    assert begun[-1] == (now, TENANT)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@virtually
async def test_the_first_changes_wait_for_nothing() -> None:
    """The other side of it: a server that becomes ready has its passes at once."""
    begun, queue = passes()
    task = asyncio.create_task(queue.run())
    for _ in range(AT_ONCE):
        now = asyncio.get_running_loop().time()
        queue.add(TENANT)
        await asyncio.sleep(0.1)
        assert begun[-1] == (now, TENANT)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@virtually
async def test_a_queue_that_stops_leaves_what_pauses_to_the_next_leader() -> None:
    """Kind of it: a leader that hands over doesn't wait for a flooded key."""
    begun, queue = passes()
    task = asyncio.create_task(queue.run())
    await flood(queue, 5)
    queue.stop()
    await task
    assert queue.depth == 0
    assert len(begun) < AT_ONCE + 10


def test_a_pause_grows_and_has_a_bound() -> None:
    """Kind of it: the pause itself never keeps a key away for long."""
    assert pause(AT_ONCE) == 0
    assert 0 < pause(AT_ONCE + 1) < pause(AT_ONCE + 10) < pause(10**9) == LONGEST_PAUSE


def test_keys_that_had_a_pass_long_ago_are_forgotten() -> None:
    """Kind of it: resources that come and go, 10,000 of them, leave nothing to remember."""
    now = [0.0]
    pauses = Pauses(lambda: now[0])
    for number in range(10_000):
        now[0] += 1
        pauses.begun(Key("tenant", f"docs-{number}"))
    assert len(pauses._passes) < 2048
