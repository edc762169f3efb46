"""The operator is killed before and after each of its writes, and what comes out is the same.

Each workload is run twice, in two namespaces. Once undisturbed: that is the reference. Once as a chain of
lives: the first life is killed instead of its first write, the second right after that write, when the API
server has carried it out but nobody has heard the answer; the third is killed instead of the next write, and
so on. All that a life has of those before it is what the API server has. So each point at which a crash can
come is met once, and the last life, which nobody kills, has to end in the reference's state.

The kill is a SIGKILL, from a proxy that sees each write (tests/harness/proxy.py). That shows that the whole
process, its start included, gets there on a real API server: server-side apply, owner references, garbage
collection. `tests/flame_operator/reconcile/test_reconciler.py` does the same in memory, for decisions alone.
"""

import asyncio
import itertools
import json
import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.harness.audit import AuditLog, Request
from tests.harness.proxy import Call, Fault, FaultProxy, Lose
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.namespace_state import difference, state, tokens
from tests.support.cluster.operator_runs import CHILDREN, REST, Json, Scene, Workload, scene

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

AT_ONCE = 3
LOOKS = 25
LIVES = 40

BEARER = {**REST, "auth": {"type": "Bearer"}}
INGRESS = {**BEARER, "ingress": {"host": "docs.example.com"}}
OPEN = {**REST, "networkPolicy": {"type": "Disabled"}}

WORKLOADS = {
    "create": Workload(None, REST, writes=len(CHILDREN) + 1),
    "scale": Workload({"replicas": 1}, REST, writes=2),
    "config": Workload(REST, {**REST, "search": {"defaultLimit": 7}}, writes=3),
    "image": Workload(REST, {**REST, "image": "flame-mcp-server:next"}, writes=2),
    "create with a token": Workload(None, BEARER, writes=len(CHILDREN) + 2),
    "token off": Workload(BEARER, REST, writes=4),
    "ingress off": Workload(INGRESS, BEARER, writes=2),
    "network policy off": Workload(REST, OPEN, writes=1),
    "autoscaling off": Workload({"autoscaling": {"maxReplicas": 4}}, REST, writes=3),
    "delete": Workload(REST, None, writes=0),
}


@dataclass
class Outcome:
    """What came of a workload."""

    reference: Json = field(default_factory=dict)
    end: Json = field(default_factory=dict)
    trouble: str = ""
    """What didn't come in time, if anything."""
    kills: list[tuple[bool, str]] = field(default_factory=list)
    """Whether it came after the write, and which write it was."""
    requests: list[Request] = field(default_factory=list)
    """All of the operator's in the chain's namespace."""
    tokens: list[Json] = field(default_factory=list)
    """What generated Secrets held, each time that somebody looked."""


async def chain(scene: Scene, workload: Workload) -> Outcome:
    """One life after the other, until one has nothing more to write."""
    outcome = Outcome()
    log = AuditLog(scene.cluster.audit_log, from_now=True)
    async with scene.proxy() as (proxy, namespace):
        try:
            outcome.reference = await scene.undisturbed(workload)
            await scene.prepare(proxy, namespace, workload)
            for after in itertools.islice(itertools.cycle((False, True)), LIVES):
                if not await life(scene, proxy, namespace, outcome, after=after):
                    break
                outcome.tokens += (await tokens(scene.client, namespace)).values()
            else:
                outcome.trouble = f"after {LIVES} lives there was still something to write"
        except TimeoutError as error:
            outcome.trouble = f"{error}: see {scene.folder}/{namespace}.log"
        outcome.end = await state(scene.client, namespace)
        outcome.requests = log.new(namespace)
    return outcome


async def life(scene: Scene, proxy: FaultProxy, namespace: str, outcome: Outcome, *, after: bool) -> bool:
    """One operator, killed at its first write; whether there was one."""
    dead = threading.Event()

    def die(call: Call) -> None:
        operator.kill()
        outcome.kills.append((after, f"{call.method} {call.resource}"))
        dead.set()

    fault = proxy.add(Fault(lambda call: call.number is not None, Lose(after=after, do=die)))

    async def is_over() -> bool:
        assert operator.running or fault.fired, f"it ended by itself: see {scene.folder}/{namespace}.log"
        # The state is asked for now and then only: there is much of it, and mostly the kill comes first.
        for _ in range(LOOKS):
            if dead.is_set():
                return True
            await asyncio.sleep(0.02)
        same = await state(scene.client, namespace) == outcome.reference
        return dead.is_set() or (same and not fault.fired)

    operator = scene.operator(proxy, namespace)
    await scene.wait("a write or the end", is_over)
    operator.kill()
    proxy.clear()
    return dead.is_set()


@pytest.fixture(scope="module")
def outcomes(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Of all workloads; some are run at once, each in namespaces of its own."""

    async def run() -> dict[str, Outcome]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(workload: Workload) -> Outcome:
            async with slots:
                return await chain(place, workload)

        async with scene(cluster, tmp_path_factory.mktemp("crash-safety")) as place:
            found = await asyncio.gather(*(one(workload) for workload in WORKLOADS.values()))
        return dict(zip(WORKLOADS, found, strict=True))

    return asyncio.run(run())


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_end_is_the_same(outcomes: dict[str, Outcome], name: str) -> None:
    different = difference(outcomes[name].reference, outcomes[name].end)
    assert not different, f"{outcomes[name].trouble}\n{different}"
    assert bool(outcomes[name].end) == (WORKLOADS[name].after is not None)


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_kill_came(outcomes: dict[str, Outcome], name: str) -> None:
    kills = outcomes[name].kills
    before, after = ([write for late, write in kills if late is which] for which in (False, True))
    print(f"{name}: killed before {len(before)} and after {len(after)} writes: {', '.join(after)}")
    assert len(after) >= WORKLOADS[name].writes
    # The life after a kill before a write begins with that write: nothing has changed meanwhile.
    assert before == after


@pytest.mark.parametrize("name", WORKLOADS)
def test_nothing_was_made_twice(outcomes: dict[str, Outcome], name: str) -> None:
    requests = outcomes[name].requests
    made = Counter((one.resource, one.name) for one in requests if one.created)
    gone = Counter((one.resource, one.name) for one in requests if one.verb == "delete" and one.code < 300)
    assert {*made.values(), *gone.values()} <= {1}
    assert len({json.dumps(token) for token in outcomes[name].tokens}) <= 1
