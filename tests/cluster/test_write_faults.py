"""Each write for a new resource fails once, in every way, and all comes out as if none had."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.harness.proxy import Answer, Call, Fault, Lose
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.namespace_state import difference, state
from tests.support.cluster.operator_runs import CHILDREN, REST, Json, Scene, Workload, scene

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

CREATE = Workload(None, REST, writes=len(CHILDREN) + 1)
FAULTS: dict[str, Answer | Lose] = {
    "409": Answer(409),
    "429": Answer(429, retry_after=1),
    "500": Answer(500),
    "503": Answer(503),
    "request lost": Lose(),
    "answer lost": Lose(after=True),
}
AT_ONCE = 3


async def disturbed(place: Scene, action: Answer | Lose, wanted: Json) -> tuple[Json, set[str]]:
    """The state at the end, and the writes that failed."""
    failed: set[str] = set()

    def is_first(call: Call) -> bool:
        write = f"{call.method} {call.resource}"
        if call.number is None or write in failed:
            return False
        failed.add(write)
        return True

    async with place.proxy() as (proxy, namespace):
        proxy.add(Fault(is_first, action, times=1000))
        operator = place.operator(proxy, namespace)
        await place.write(namespace, CREATE.after)

        async def is_over() -> bool:
            assert operator.running, f"it ended: see {place.folder}/{namespace}.log"
            return await state(place.client, namespace) == wanted

        with contextlib.suppress(TimeoutError):  # the difference says more
            await place.wait("the end", is_over)
        operator.kill()
        return await state(place.client, namespace), failed


async def test_every_write_may_fail(cluster: Cluster, tmp_path: Path) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    async with scene(cluster, tmp_path) as place:
        wanted = await place.undisturbed(CREATE)

        async def one(action: Answer | Lose) -> tuple[Json, set[str]]:
            async with slots:
                return await disturbed(place, action, wanted)

        outcomes = await asyncio.gather(*(one(action) for action in FAULTS.values()))
    for name, (end, failed) in zip(FAULTS, outcomes, strict=True):
        assert len(failed) == CREATE.writes, name
        assert not (different := difference(wanted, end)), f"{name}:\n{different}"
