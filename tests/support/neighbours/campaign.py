"""Honest tenants on one operator, first alone and then beside attackers, and what they notice."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.operator.workload import make_namespaces, remove_all
from benchmarks.process import resident_mib
from flame_operator.resource.kinds import EVENT, LEASE, SERVER, Key, key_of
from tests.harness.client import Client, Json, admin
from tests.harness.control_plane import ControlPlane
from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import install_crd
from tests.support.neighbours.attackers import Harm, attack
from tests.support.neighbours.kubelet import Kubelet
from tests.support.neighbours.listening_pods import Pods
from tests.support.neighbours.probed_operator import PROGRAM
from tests.support.operator.tenants import LOADS

HONEST_PORT = 18080
TIER = {"tier": "honest"}
SAMPLE_SECONDS = 2.0
PLAIN: Json = {"replicas": 1, "service": {"port": HONEST_PORT}}
READY_SECONDS = 300
"""How long an honest server may take before the campaign gives up."""


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        honest: How many namespaces are honest; every other one also loads docs of its own.
        harm: What the others do.
        seconds: How long the attack lasts.
        per_second: How many honest servers are applied in a second.
        pod_seconds: How long a pod takes to start.
        load_seconds: How long it takes to load docs.
    """

    honest: int = 100
    harm: Harm = field(default_factory=Harm)
    seconds: float = 600
    per_second: float = 2
    pod_seconds: float = 5
    load_seconds: float = 30


@dataclass
class Phase:
    """What honest tenants noticed, and what the operator spent.

    Attributes:
        ready: Seconds from apply to Ready: of servers that search the image's docs, and of those that load.
        memory: The operator's resident memory in MiB, every `SAMPLE_SECONDS`.
        lags: How late its event loop was, in milliseconds, at each tick.
        lost_events: Honest servers without the Events that they should have.
        servers: How many honest servers there were.
    """

    ready: dict[str, list[float]] = field(default_factory=lambda: {"plain": [], "loading": []})
    memory: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    lost_events: list[str] = field(default_factory=list)
    servers: int = 0

    def late_ms(self, share: float) -> float:
        """How late the event loop was at most, for this share of all ticks."""
        return percentile(self.lags, share)

    @property
    def growth_mib(self) -> float:
        """How much more memory the last tenth of the time needed than the third."""
        tenth = max(1, len(self.memory) // 10)
        third = self.memory[2 * tenth : 3 * tenth] or self.memory
        return statistics.median(self.memory[-tenth:]) - statistics.median(third)


@dataclass
class Figures:
    """Both phases, and what the Lease told at the end."""

    alone: Phase = field(default_factory=Phase)
    attacked: Phase = field(default_factory=Phase)
    takeovers: int = 0
    """How often the Lease has changed hands."""

    def slowdown(self, sort: str, share: float) -> float:
        """How many times longer honest servers of a sort take beside attackers."""
        return percentile(self.attacked.ready[sort], share) / percentile(self.alone.ready[sort], share)

    def as_text(self) -> str:
        """A table for people."""
        both = (self.alone, self.attacked)
        rows: dict[str, list[float]] = {
            f"{sort}: Ready after, {share:.0%}, s": [percentile(one.ready[sort], share) for one in both]
            for sort in ("plain", "loading")
            for share in (0.5, 0.95)
        }
        rows |= {f"loop late, {share:.0%}, ms": [one.late_ms(share) for one in both] for share in (0.99, 1.0)}
        rows["memory, peak, MiB"] = [max(one.memory) for one in both]
        rows["memory, growth, MiB"] = [one.growth_mib for one in both]
        rows["honest servers"] = [one.servers for one in both]
        rows["without their Events"] = [len(one.lost_events) for one in both]
        lines = [f"{name:32}" + "".join(f"{figure:10.1f}" for figure in row) for name, row in rows.items()]
        head = f"{'':32}{'alone':>10}{'attacked':>10}"
        return "\n".join([head, *lines, f"the Lease has changed hands {self.takeovers} times"])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values don't exceed."""
    found = sorted(values)
    return found[min(len(found) - 1, int(share * len(found)))]


def run(plan: Plan, folder: Path) -> Figures:
    """All of it, on a control plane of its own."""
    with ControlPlane.start(folder / "plane", controllers=False) as plane:
        install_crd(plane)
        program = (*PROGRAM, str(folder / "lags"))
        operator = Operator(plane.kubeconfig, folder / "operator.log", program=program)
        operator.wait_until_ready()
        figures = asyncio.run(_Campaign(plan, plane, operator, folder / "lags").run())
        operator.stop()
        return figures


@dataclass
class _Campaign:
    plan: Plan
    plane: ControlPlane
    operator: Operator
    lags: Path
    _ready: dict[Key, float] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _rounds: int = 0

    async def run(self) -> Figures:
        figures, plan = Figures(), self.plan
        async with (
            admin(self.plane) as client,
            Pods() as honest,
            Pods(niceness=5) as evil,
            asyncio.TaskGroup() as group,
        ):
            kubelet = Kubelet(client, honest, evil, plan.pod_seconds, plan.load_seconds)
            helpers = [group.create_task(kubelet.run()), group.create_task(self._see(client))]
            await make_namespaces(client, [f"honest-{number}" for number in range(plan.honest)], at_once=4)
            await self._phase(client, figures.alone, seconds=0)
            async with attack(self.plane, self.operator, plan.harm):
                await self._phase(client, figures.attacked, seconds=plan.seconds)
            lease = await client.send("GET", LEASE.path("default", f"lease-{self.operator.metrics_port}"))
            figures.takeovers = lease["spec"]["leaseTransitions"]
            for helper in helpers:
                helper.cancel()
        return figures

    async def _see(self, client: Client) -> None:
        """Note when honest servers become Ready, with the docs that they load."""
        async for event in client.watch(SERVER.path(), query={"labelSelector": "tier=honest"}):
            if _is_done(event["object"]):
                self._ready.setdefault(key_of(event["object"]), time.monotonic())
                async with self._changed:
                    self._changed.notify_all()

    async def _phase(self, client: Client, phase: Phase, *, seconds: float) -> None:
        """Rounds of honest servers until the time is over, one at least."""
        self.lags.write_text("")
        sampling = asyncio.create_task(self._sample(phase))
        end = time.monotonic() + seconds
        try:
            while True:
                await self._round(client, phase)
                if time.monotonic() >= end:
                    break
        finally:
            sampling.cancel()
        phase.lags = [float(lag) for lag in self.lags.read_text().split()]

    async def _sample(self, phase: Phase) -> None:
        while True:
            phase.memory.append(resident_mib(self.operator.pid))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _round(self, client: Client, phase: Phase) -> None:
        self._rounds += 1
        keys = [Key(f"honest-{number}", f"docs-{self._rounds}") for number in range(self.plan.honest)]
        applied = {}
        for number, key in enumerate(keys):
            applied[key] = time.monotonic()
            body = {"apiVersion": SERVER.api_version, "kind": SERVER.kind}
            spec = {**PLAIN, **LOADS} if number % 2 else PLAIN
            metadata = {"name": key.name, "labels": TIER}
            await client.send(
                "POST", SERVER.path(key.namespace), {**body, "metadata": metadata, "spec": spec}
            )
            await asyncio.sleep(1 / self.plan.per_second)
        try:
            async with asyncio.timeout(READY_SECONDS), self._changed:
                await self._changed.wait_for(lambda: set(keys) <= self._ready.keys())
        except TimeoutError as error:
            missing = ", ".join(map(str, sorted(set(keys) - self._ready.keys())))
            raise AssertionError(f"not ready after {READY_SECONDS} s: {missing}") from error
        for number, key in enumerate(keys):
            phase.ready["loading" if number % 2 else "plain"].append(self._ready[key] - applied[key])
        phase.servers += len(keys)
        phase.lost_events += await self._without_events(client, keys)
        # Nobody collects the children here.
        await remove_all(client, [key.namespace for key in keys], at_once=4)

    async def _without_events(self, client: Client, keys: Sequence[Key]) -> list[str]:
        """The servers that lack an Event that tells of them that they are Ready, after a while."""
        missing = set(keys)
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                while missing:
                    for key in sorted(missing):
                        events = await client.items(EVENT.path(key.namespace))
                        told = {one["reason"] for one in events if one["involvedObject"]["name"] == key.name}
                        missing -= {key} if "Ready" in told else set()
                    await asyncio.sleep(1)
        return [str(key) for key in sorted(missing)]


def _is_done(server: Json) -> bool:
    """Whether a server is Ready and, if it loads docs, has loaded them."""
    status = server.get("status", {})
    is_ready = ("Ready", "True") in {(one["type"], one["status"]) for one in status.get("conditions", [])}
    return is_ready and (
        "ingestion" not in server["spec"] or status.get("ingestion", {}).get("phase") == "Succeeded"
    )
