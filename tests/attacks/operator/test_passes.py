"""Attack M1, and its kind: a pass over one resource holds a worker for as long as its tenant likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from flame_operator.errors import Unavailable
from flame_operator.reconcile.queue import PASS_SECONDS, WorkQueue
from flame_operator.resource.kinds import SERVER, STATEFUL_SET, Key
from tests.support.operator.fake_kube import FakeKube
from tests.support.operator.reconciling import KEY, Operator, running, with_server
from tests.support.operator.virtual_time import run_virtually, virtually

STORE = Key(KEY.namespace, "docs-qdrant")
HONEST = Key("honest", "docs")


async def grown(replicas: int) -> tuple[FakeKube, Operator]:
    """A tenant scales the StatefulSet of a server's Qdrant, and then enlarges its volumes."""
    kube = with_server(vectorStore={"type": "Managed"})
    operator = await running(kube)
    spec = {**kube.objects[STATEFUL_SET.kind, STORE]["spec"], "replicas": replicas}
    operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, spec=spec))
    larger = {"vectorStore": {"type": "Managed", "managed": {"storage": {"size": "20Gi"}, "replicas": 2}}}
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec=larger))
    kube.requests.clear()
    await operator.settle()
    return kube, operator


async def test_a_stateful_set_scaled_to_two_thousand_millions_costs_a_request_a_pod_of_the_spec() -> None:
    """Row 8: with 2,000 replicas, one pass made 1,999 requests; the field goes up to 2^31-1."""
    for replicas in (2000, 2**31 - 1):
        kube, _ = await grown(replicas)
        # Each claim once to grow it, and once before a new StatefulSet takes it.
        assert kube.requests.count("get PersistentVolumeClaim") == 2 + 2
        assert kube.writes.count("delete StatefulSet") == 1


@virtually
async def test_a_pass_that_waits_for_ever_is_given_up() -> None:
    begun: list[tuple[float, Key]] = []

    async def wait(key: Key) -> None:
        begun.append((asyncio.get_running_loop().time(), key))
        if key != HONEST:
            await asyncio.Event().wait()

    queue = WorkQueue(wait, workers=1, jitter=lambda: 1.0)
    queue.add(KEY)
    task = asyncio.create_task(queue.run())
    await asyncio.sleep(1)
    queue.add(HONEST)
    await asyncio.sleep(1.9 * PASS_SECONDS)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert begun[1:3] == [(PASS_SECONDS, HONEST), (PASS_SECONDS + 0.5, KEY)]
    sample = queue._metrics.registry.get_sample_value
    assert sample("flame_operator_reconciles_total", {"result": "unavailable"}) == 1
    assert sample("flame_operator_reconciles_total", {"result": "bug"}) == 0


@virtually
async def test_a_time_out_of_the_handlers_own_is_a_bug_like_any_other() -> None:
    async def fail(_: Key) -> None:
        raise TimeoutError

    queue = WorkQueue(fail, workers=1)
    queue.add(KEY)
    queue.stop()
    await queue.run()
    sample = queue._metrics.registry.get_sample_value
    assert sample("flame_operator_reconciles_total", {"result": "bug"}) == 1


@virtually
async def test_sixteen_slow_passes_of_one_namespace_leave_workers_for_others() -> None:
    """Sixteen such resources held all sixteen workers."""
    done: list[Key] = []

    async def slow(key: Key) -> None:
        await asyncio.sleep(0.01 if key == HONEST else 3600)
        done.append(key)

    queue = WorkQueue(slow, workers=16)
    for number in range(100):
        queue.add(Key("evil", str(number)))
    task = asyncio.create_task(queue.run())
    await asyncio.sleep(1)
    queue.add(HONEST)
    await asyncio.sleep(1)
    assert done == [HONEST]
    assert queue.depth == 100
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@virtually
async def test_whoever_has_a_turn_to_load_waits_for_no_pass_of_others() -> None:
    """A hundred namespaces kept the turns that they were given until their own passes came: a minute each."""
    order: list[str] = []

    async def work(key: Key) -> None:
        await asyncio.sleep(1)
        order.append(str(key))

    queue = WorkQueue(work, workers=1)
    for number in range(100):
        queue.add(Key(f"evil-{number}", "a"))
        queue.add(Key(f"evil-{number}", "b"))
    queue.add_ahead(Key("evil-99", "b"))
    queue.add_ahead(HONEST)
    task = asyncio.create_task(queue.run())
    await asyncio.sleep(4.5)
    assert order[:2] == ["evil-99/b", str(HONEST)]
    queue.add_ahead(Key("evil-99", "b"))
    queue.stop()
    await task
    assert order[5] == "evil-99/b"
    assert len(order) == 202


class Town:
    """A queue, with tenants who edit their resources all the time.

    Args:
        evil: The resources that are edited.
        seconds: How long a pass over one takes.
        error: How each of these passes ends.
    """

    def __init__(self, evil: list[Key], seconds: float, error: type[Exception] | None = None) -> None:
        self.evil, self.seconds, self.error = evil, seconds, error
        self.begun: dict[Key, list[float]] = {}
        self.running = self.most = 0
        self.queue = WorkQueue(self.work, workers=16)

    async def work(self, key: Key) -> None:
        self.begun.setdefault(key, []).append(asyncio.get_running_loop().time())
        is_evil = key.namespace.startswith("evil")
        self.running += is_evil
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds if is_evil else 0.05)
            if is_evil and self.error is not None:
                raise self.error("as always")
        finally:
            self.running -= is_evil

    async def edit(self) -> None:
        while True:
            for key in self.evil:
                self.queue.add(key)
            await asyncio.sleep(3)

    @asynccontextmanager
    async def busy(self, seconds: float) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.edit()), asyncio.create_task(self.queue.run())]
        with capture_logs():
            await asyncio.sleep(seconds)
            yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def waits(self, every: float) -> float:
        """The longest that a pass of an honest resource waits for a worker, of five that come so often."""
        longest, loop = 0.0, asyncio.get_running_loop()
        for number in range(5):
            key, added = Key("honest", str(number)), loop.time()
            self.queue.add(key)
            await asyncio.sleep(every)
            longest = max(longest, self.begun[key][0] - added)
        return longest


ERRORS = {"ends": None, "is unavailable": Unavailable, "has a bug": RuntimeError}


@pytest.mark.parametrize("how", ERRORS)
@pytest.mark.parametrize(("resources", "seconds"), [(1000, 0.05), (1000, 110.0), (1, 0.0), (1, 3600.0)])
def test_resources_of_one_namespace_that_are_edited_all_the_time(
    resources: int, seconds: float, how: str
) -> None:
    """A thousand, or one, whose passes are slow, always fail, or both: others wait for none of them."""

    async def scenario() -> None:
        town = Town([Key("evil", str(number)) for number in range(resources)], seconds, ERRORS[how])
        async with town.busy(20):
            assert await town.waits(3.3) == 0
        assert town.most <= min(resources, 12)

    run_virtually(scenario())


@pytest.mark.parametrize(
    ("namespaces", "most_seconds"), [(2, 0.0), (3, 0.0), (8, 0.0), (15, 0.0), (40, 330.0)]
)
def test_many_namespaces_whose_passes_are_all_slow(namespaces: int, most_seconds: float) -> None:
    """Passes of two minutes, as long as the API server answers nobody: shares shrink with their number."""

    async def scenario() -> None:
        evil = [Key(f"evil-{number % namespaces}", str(number)) for number in range(20 * namespaces)]
        town = Town(evil, PASS_SECONDS - 1)
        async with town.busy(300):
            assert await town.waits(400.7) <= most_seconds

    run_virtually(scenario())


@virtually
async def test_a_namespace_with_its_share_of_workers_goes_on_when_one_is_free() -> None:
    done: list[Key] = []

    async def work(key: Key) -> None:
        await asyncio.sleep(1)
        done.append(key)

    queue = WorkQueue(work, workers=4)
    for number in range(9):
        queue.add(Key("one", str(number)))
    queue.stop()
    await queue.run()
    assert len(done) == 9
    assert asyncio.get_running_loop().time() == 3


@virtually
async def test_a_bug_is_reported_after_five_in_a_row_and_tried_again_slowly() -> None:
    """Row 16, kind: whatever a tenant finds to make a pass fail, it costs a pass every two minutes."""
    loop = asyncio.get_running_loop()
    begun: list[float] = []
    reported: list[float] = []

    async def fail(_: Key) -> None:
        begun.append(loop.time())
        raise RecursionError

    async def report(_: Key) -> None:
        reported.append(loop.time())
        queue.add(KEY)  # the watch tells of the new status
        raise Unavailable("the API server is away")

    queue = WorkQueue(fail, workers=1, on_bugs=report, jitter=lambda: 1.0)
    queue.add(KEY)
    task = asyncio.create_task(queue.run())
    while loop.time() < 1000:
        await asyncio.sleep(10)
        if loop.time() > 20:
            queue.add(KEY)  # the tenant edits the resource every ten seconds
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert reported == begun[4:]
    assert begun[:5] == [0, 0.5, 1.5, 3.5, 7.5]
    assert 5 <= len(begun[5:]) <= 8


@virtually
async def test_a_success_forgets_the_bugs() -> None:
    results: list[Exception | None] = [RuntimeError(), RuntimeError(), None] * 3
    reported: list[Key] = []

    async def handle(_: Key) -> float:
        result = results.pop(0) if results else None
        if result is not None:
            raise result
        return 1.0

    async def report(key: Key) -> None:
        reported.append(key)

    queue = WorkQueue(handle, workers=1, on_bugs=report)
    queue.add(KEY)
    task = asyncio.create_task(queue.run())
    await asyncio.sleep(30)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (results, reported) == ([], [])
