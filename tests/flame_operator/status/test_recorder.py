"""When events are written, counted, dropped and drained, in virtual time."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from flame_operator.errors import Conflict, NamespaceTerminating, Refused, Unavailable
from flame_operator.resource.kinds import Manifest
from flame_operator.status.events import Event
from flame_operator.status.recorder import OBJECT_BURST, QUEUE_LENGTH, REMEMBERED, REPEAT_SECONDS, Recorder
from tests.support.operator.fake_kube import server
from tests.support.operator.virtual_time import run_virtually, virtually


class Api:
    """Keeps the events as an API server would, and each write."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], Manifest] = {}
        self.writes: list[tuple[float, Manifest]] = []
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def post_event(self, event: Manifest) -> None:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.writes.append((asyncio.get_running_loop().time(), event))
        self.events[event["metadata"]["namespace"], event["metadata"]["name"]] = event

    @property
    def told(self) -> list[tuple[float, str, int]]:
        """Time, reason and count of each write."""
        return [(round(time, 3), event["reason"], event["count"]) for time, event in self.writes]


class Desk:
    def __init__(self, api: Api, per_second: float) -> None:
        self.api = api
        self.results: Counter[str] = Counter()
        self.recorder = Recorder(
            api,
            per_second=per_second,
            instance="operator-1",
            now=lambda: f"at {asyncio.get_running_loop().time():.0f}",
            observe=lambda result: self.results.update([result]),
        )
        self.task = asyncio.create_task(self.recorder.run())

    def record(self, reason: str = "Ready", message: str = "It answers.", *, uid: str = "uid-1") -> None:
        self.recorder.record(server(uid=uid), Event("Normal", reason, message))

    async def until(self, time: float) -> None:
        await asyncio.sleep(time - asyncio.get_running_loop().time())

    async def stop(self) -> None:
        self.task.cancel()
        (result,) = await asyncio.gather(self.task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError), result


@asynccontextmanager
async def desk(api: Api | None = None, *, per_second: float = 5) -> AsyncIterator[Desk]:
    made = Desk(api or Api(), per_second)
    try:
        yield made
    finally:
        await made.stop()


@virtually
async def test_an_event_as_kubectl_describe_finds_it() -> None:
    async with desk() as it:
        await it.until(7)
        it.record()
        await it.until(8)
    ((_, event),) = it.api.writes
    name = event["metadata"].pop("name")
    assert name.startswith("docs.")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "team"},
        "involvedObject": {
            "apiVersion": "flamemcp.dev/v1alpha1",
            "kind": "FlameMCPServer",
            "namespace": "team",
            "name": "docs",
            "uid": "uid-1",
        },
        "type": "Normal",
        "reason": "Ready",
        "message": "It answers.",
        "action": "ReportStatus",
        "source": {"component": "flame-operator"},
        "reportingComponent": "flame-operator",
        "reportingInstance": "operator-1",
        "firstTimestamp": "at 7",
        "lastTimestamp": "at 7",
        "count": 1,
    }


@virtually
async def test_repeats_are_counted_and_written_once_in_a_while() -> None:
    async with desk() as it:
        it.record()
        for minute in range(1, 10):
            await it.until(minute * 60)
            it.record()
            it.record("Other")
        await it.until(3600)
        it.record()
        await it.until(3601)
    ready = [told for told in it.api.told if told[1] == "Ready"]
    assert ready == [(0, "Ready", 1), (REPEAT_SECONDS, "Ready", 10), (3600, "Ready", 11)]
    last = it.api.writes[-1][1]
    assert (last["firstTimestamp"], last["lastTimestamp"]) == ("at 0", "at 3600")
    assert len(it.api.events) == 2


@virtually
async def test_a_repeat_while_the_first_is_being_written_is_not_lost() -> None:
    async with desk() as it:
        it.api.open.clear()
        it.record()
        await it.until(1)
        it.record()
        it.api.open.set()
        await it.until(1000)
    assert it.api.told == [(1, "Ready", 1), (1 + REPEAT_SECONDS, "Ready", 2)]


@virtually
async def test_another_operator_names_the_same_event_the_same() -> None:
    api = Api()
    for _ in range(2):
        async with desk(api) as it:
            it.record()
            it.record(uid="uid-2")
            it.record(message="Another message.")
            await asyncio.sleep(10)
    assert len(api.writes) == 6
    assert len(api.events) == 3


@virtually
async def test_one_server_can_not_flood() -> None:
    async with desk(per_second=1000) as it:
        for n in range(100):
            it.record(message=f"message {n}")
        it.record(uid="uid-2")
        await it.until(1)
        assert len(it.api.writes) == OBJECT_BURST + 1
        assert it.results["dropped"] == 90
        await it.until(3601)
        for n in range(100):
            it.record(message=f"later {n}")
        await it.until(3700)
        assert len(it.api.writes) == 2 * OBJECT_BURST + 1


@virtually
async def test_one_more_event_a_minute_for_a_server_that_has_had_its_burst() -> None:
    async with desk(per_second=1000) as it:
        for n in range(600):
            await it.until(n)
            it.record(message=f"message {n}")
        assert len(it.api.writes) in (OBJECT_BURST + 9, OBJECT_BURST + 10)


@virtually
async def test_all_servers_together_keep_the_budget_and_what_came_first() -> None:
    async with desk(per_second=5) as it:
        it.api.open.clear()
        for n in range(QUEUE_LENGTH + 50):
            it.record(uid=f"uid-{n}")
        assert it.results["dropped"] == 50
        it.api.open.set()
        await it.until(1000)
        uids = [event["involvedObject"]["uid"] for _, event in it.api.writes]
        # One namespace makes all the noise, so it loses its newest ones.
        assert uids == [f"uid-{n}" for n in range(QUEUE_LENGTH)]
        it.record(uid="uid-0")
        await it.until(1001)
    assert it.api.told[-1:] == [(1000, "Ready", 2)]
    times = [time for time, _ in it.api.writes]
    assert len(times) == QUEUE_LENGTH + 1
    assert all(b - a >= 0.2 - 1e-6 for a, b in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("failure", "result", "warned"),
    [
        (Refused("forbidden"), "failed", True),
        (Conflict("changed"), "failed", True),
        (Unavailable("away"), "failed", True),
        (NamespaceTerminating("going"), "dropped", False),
    ],
)
def test_an_event_that_can_not_be_written_is_dropped(
    failure: Exception, result: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        async with desk() as it:
            it.api.failure = failure
            it.record()
            await it.until(5000)
            assert it.results == {result: 1}
            it.api.failure = None
            it.record()
            await it.until(5001)
            assert it.api.told == [(5000, "Ready", 2)]

    run_virtually(scenario())
    assert ("event not written" in capsys.readouterr().out) == warned


@virtually
async def test_draining_writes_all_that_waits() -> None:
    async with desk() as it:
        it.record()
        await it.until(1)
        it.record()  # due in ten minutes
        it.api.open.clear()
        it.record("Other")
        await it.until(2)
        it.record("Third")
        await it.stop()  # in the middle of writing Other
        it.api.open.set()
        await it.recorder.drain()
        assert it.api.told[1:] == [(2, "Other", 1), (2, "Third", 1), (2, "Ready", 2)]
        assert it.results["dropped"] == 0


@virtually
async def test_memory_is_bounded_and_what_is_pushed_out_is_written() -> None:
    async with desk(per_second=1000) as it:
        it.record()
        await it.until(1)
        it.record()
        for n in range(REMEMBERED):
            await it.until(1 + n / 100)
            it.record(uid=f"other-{n}")
        await it.until(100)
        assert len(it.recorder._series) == REMEMBERED
        assert len(it.recorder._buckets._buckets) == REMEMBERED
        assert [
            count
            for _, event in it.api.writes
            if event["involvedObject"]["uid"] == "uid-1"
            for count in [event["count"]]
        ] == [1, 2]
