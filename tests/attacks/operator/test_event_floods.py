"""Attack L2: one tenant's Events displace those of another."""

import asyncio
from collections import Counter

from flame_operator.resource.kinds import Manifest
from flame_operator.status.events import Event
from flame_operator.status.recorder import QUEUE_LENGTH, Recorder
from tests.support.operator.fake_kube import server
from tests.support.operator.virtual_time import virtually


class Api:
    def __init__(self) -> None:
        self.written: list[tuple[float, str]] = []

    async def post_event(self, event: Manifest) -> None:
        self.written.append((asyncio.get_running_loop().time(), event["metadata"]["namespace"]))


def recorder(api: Api) -> Recorder:
    return Recorder(api, per_second=5, instance="x", now=lambda: "now", observe=lambda _: None)


def record(to: Recorder, namespace: str, number: int) -> None:
    body = server(str(number), namespace, uid=f"{namespace}-{number}")
    to.record(body, Event("Warning", "NotAnswering", f"message {number}"))


@virtually
async def test_an_honest_event_beside_a_flood_of_one_namespace_is_the_next_to_be_written() -> None:
    """Row 25: the oldest of all Events was dropped, whoever had recorded it."""
    api = Api()
    to = recorder(api)
    record(to, "honest", 0)
    for number in range(5 * QUEUE_LENGTH):
        record(to, "evil", number)
    record(to, "other", 0)
    task = asyncio.create_task(to.run())
    await asyncio.sleep(1)
    task.cancel()
    assert {namespace for _, namespace in api.written[:3]} == {"honest", "evil", "other"}


@virtually
async def test_no_honest_event_is_lost_beside_a_hundred_namespaces_that_flood() -> None:
    api = Api()
    to = recorder(api)
    task = asyncio.create_task(to.run())
    for number in range(60):
        for tenant in range(100):
            record(to, f"evil-{tenant}", number)
        for tenant in range(100):
            if number < 3:
                record(to, f"honest-{tenant}", number)
        await asyncio.sleep(1)
    await asyncio.sleep(300)
    task.cancel()
    counts = Counter(namespace for _, namespace in api.written)
    assert all(counts[f"honest-{tenant}"] == 3 for tenant in range(100))
    assert len(to._queue) <= QUEUE_LENGTH


@virtually
async def test_an_event_that_was_being_written_when_the_process_ends_is_written_first() -> None:
    api = Api()
    to = recorder(api)
    for number in range(3):
        record(to, "evil", number)
        record(to, "honest", number)
    await to.drain()
    assert [namespace for _, namespace in api.written] == ["evil", "honest"] * 3
