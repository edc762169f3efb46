"""The run: one control plane, one operator, phase after phase."""

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.operator import workload as work
from benchmarks.operator.report import Phase, Result
from benchmarks.operator.workload import Children, Workload
from benchmarks.process import cpu_seconds, peak_mib, rest
from flame_operator.resource.kinds import KINDS, SERVER, SERVICE, WATCHED_KINDS, Key, Manifest, key_of
from tests.harness.audit import AuditLog, Request
from tests.harness.client import Client, admin
from tests.harness.console import step
from tests.harness.control_plane import ControlPlane
from tests.harness.errors import HarnessError
from tests.harness.operator_process import PROGRAM, Operator
from tests.harness.proc import tail, wait_for

USER = "flame-operator"
FLOOR_RESOURCES = 500
AT_ONCE = 16
"""How many requests the plain client has in flight: as many as the operator, by default."""
_SETTINGS = {
    "FLAME_OPERATOR_NAMESPACE": "default",
    "FLAME_OPERATOR_POD_NAME": "benchmark",
    "FLAME_OPERATOR_METRICS_PORT": "0",
}


@dataclass(frozen=True)
class Options:
    """What is run."""

    resources: int
    children: Children
    idle_seconds: float
    deleted_services: int
    profile: Path | None


@dataclass
class Run:
    """A control plane with the CRD, and a client of it that isn't the operator."""

    plane: ControlPlane
    client: Client
    audit: AuditLog
    folder: Path

    def start(self, *, profile: Path | None = None) -> Operator:
        """An operator of a user name of its own."""
        program = ("-m", "benchmarks.operator.sampler", str(profile)) if profile else PROGRAM
        kubeconfig = self.plane.identity(USER)
        return Operator(kubeconfig, self.folder / "operator.log", program=program, **_SETTINGS)

    async def rest(self, operator: Operator) -> float:
        """Wait until the operator has nothing to do; returns since when, on the monotonic clock.

        Raises:
            HarnessError: It has ended.
        """
        since = await rest(operator.pid)
        if not operator.running:
            raise HarnessError(f"the operator has ended:\n{tail(operator.log)}")
        return since

    async def watches(self, operator: Operator) -> None:
        """Wait until the operator's watches are open, all of them."""
        missing = {kind.plural for kind in (SERVER, *WATCHED_KINDS)}
        deadline = time.monotonic() + 60
        while missing:
            if not operator.running or time.monotonic() > deadline:
                unwatched = ", ".join(sorted(missing))
                raise HarnessError(f"the operator doesn't watch {unwatched}:\n{tail(operator.log)}")
            await asyncio.sleep(0.05)
            missing -= {one.resource for one in self.audit.new(USER) if one.verb == "watch"}


def run(options: Options) -> Result:
    """All phases on a new control plane.

    Raises:
        HarnessError: Something didn't start, or the operator didn't do its work.
    """
    with tempfile.TemporaryDirectory(prefix="flame-mcp-") as name:
        folder = Path(name)
        log = folder / "audit.log"
        with step("control plane: API server and etcd, no controllers"):
            plane = ControlPlane.start(folder / "plane", audit_log=log, audit_bodies=False, controllers=False)
        with plane:
            plane.kubectl("apply", "--server-side", "-f", str(work.CRD))
            served = partial(plane.kubectl, "get", SERVER.plural, check=False)
            wait_for("the CRD to be served", lambda: served().returncode == 0, timeout=60)
            return asyncio.run(_all(plane, AuditLog(log), folder, options))


async def _all(plane: ControlPlane, audit: AuditLog, folder: Path, options: Options) -> Result:
    spec = work.spec_for(options.children)
    floor_resources = min(options.resources, FLOOR_RESOURCES)
    async with admin(plane, connections=2 * AT_ONCE) as client:
        this = Run(plane, client, audit, folder)
        with step("warm up"):
            await work.floor(client, Workload(20, spec, "warm"), at_once=AT_ONCE)
        with step(f"floor: {floor_resources} resources by a bare client"):
            before = await work.floor(client, Workload(floor_resources, spec, "before"), at_once=AT_ONCE)
        wanted = Workload(options.resources, spec, "team")
        await work.make_namespaces(client, wanted.namespaces, at_once=AT_ONCE)
        with step("operator started"):
            operator = this.start(profile=options.profile)
            await this.watches(operator)
            await this.rest(operator)
            start = peak_mib(operator.pid)
        with step(f"create {options.resources} resources"):
            create, stored = await _create(this, operator, wanted, options.profile)
        with step(f"idle for {options.idle_seconds:g} s"):
            idle = await _idle(this, operator, options.idle_seconds)
        peak = peak_mib(operator.pid)
        with step("restart"):
            operator.stop()
            operator, restart = await _restart(this)
        deleted = [key_of(body) for body in stored[: options.deleted_services]]
        with step(f"delete {len(deleted)} Services"):
            repair = await _repair(this, operator, deleted)
        with step("delete all resources"):
            delete = await _delete(this, operator, stored)
        restart_peak = peak_mib(operator.pid)
        operator.stop()
        await work.remove_all(client, wanted.namespaces, at_once=AT_ONCE)
        with step("floor once more"):
            after = await work.floor(client, Workload(floor_resources, spec, "after"), at_once=AT_ONCE)
    return Result(
        resources=options.resources,
        children=len(work.children_of(stored[0])),
        floors=(before, after),
        floor_resources=floor_resources,
        create=create,
        idle=idle,
        restart=restart,
        repair=repair,
        repaired=len(deleted),
        delete=delete,
        start_mib=start,
        peak_mib=peak,
        restart_peak_mib=restart_peak,
    )


async def _create(
    this: Run, operator: Operator, wanted: Workload, profile: Path | None
) -> tuple[Phase, list[Manifest]]:
    this.audit.new()
    used = cpu_seconds(operator.pid)
    if profile:
        os.kill(operator.pid, signal.SIGUSR1)
    stored = await work.create(this.client, wanted, at_once=AT_ONCE)
    slots = {slot for body in stored for slot in _slots(body)}
    seen: list[Request] = []
    deadline = time.monotonic() + 120 + wanted.resources * 0.2
    while missing := slots - {_slot(one) for one in seen if one.code < 300}:
        if time.monotonic() > deadline:
            raise HarnessError(
                f"the operator hasn't written {len(missing)} objects, {min(missing)} among them"
            )
        await this.rest(operator)
        seen += this.audit.new()
    cpu = cpu_seconds(operator.pid) - used
    if profile:
        os.kill(operator.pid, signal.SIGUSR2)
    await _verify(this.client, stored)
    theirs = [one for one in seen if one.user != USER and one.resource == SERVER.plural]
    ours = [one for one in seen if one.user == USER]
    first: dict[tuple[str, Key], float] = {}
    for one in ours:
        if one.code < 300:
            first.setdefault(_slot(one), one.answered)
    started = min(one.received for one in theirs)
    return _phase(max(first[slot] for slot in slots) - started, cpu, ours), stored


def _slots(body: Manifest) -> Iterable[tuple[str, Key]]:
    """What has to be written for a resource: its children and its status."""
    key = key_of(body)
    for child in work.children_of(body):
        yield KINDS[child["kind"]].plural, key
    yield f"{SERVER.plural}/status", key


def _slot(request: Request) -> tuple[str, Key]:
    return request.target, Key(request.namespace, request.name)


async def _verify(client: Client, stored: Sequence[Manifest]) -> None:
    """The log said so; the API server's own lists have to agree."""
    wanted = Counter(child["kind"] for body in stored for child in work.children_of(body))
    for kind, count in wanted.items():
        ours = "app.kubernetes.io/managed-by=flame-operator"
        answer = await client.send("GET", KINDS[kind].path(), query={"labelSelector": ours})
        if len(answer["items"]) != count:
            raise HarnessError(f"there are {len(answer['items'])} {kind}s instead of {count}")


async def _idle(this: Run, operator: Operator, seconds: float) -> Phase:
    this.audit.new()
    used = cpu_seconds(operator.pid)
    await asyncio.sleep(seconds)
    return _phase(seconds, cpu_seconds(operator.pid) - used, this.audit.new(USER))


async def _restart(this: Run) -> tuple[Operator, Phase]:
    """Start again; what takes time is the start itself, the lists and a look at every resource."""
    this.audit.new()
    started = time.monotonic()
    operator = this.start()
    await asyncio.to_thread(operator.wait_until_ready)
    quiet = await this.rest(operator)
    return operator, _phase(quiet - started, cpu_seconds(operator.pid), this.audit.new(USER))


async def _repair(this: Run, operator: Operator, keys: Sequence[Key]) -> Phase:
    this.audit.new()
    used = cpu_seconds(operator.pid)
    await work.each(keys, lambda key: this.client.send("DELETE", SERVICE.path(*key)), at_once=AT_ONCE)
    seen: list[Request] = []
    deadline = time.monotonic() + 60
    while missing := set(keys) - {Key(one.namespace, one.name) for one in seen if _is_repair(one)}:
        if time.monotonic() > deadline:
            raise HarnessError(f"{len(missing)} of {len(keys)} deleted Services didn't come back")
        await this.rest(operator)
        seen += this.audit.new()
    started = min(one.received for one in seen if one.verb == "delete" and one.user != USER)
    ended = max(one.answered for one in seen if _is_repair(one))
    used = cpu_seconds(operator.pid) - used
    return _phase(ended - started, used, [one for one in seen if one.user == USER])


def _is_repair(request: Request) -> bool:
    return request.user == USER and request.created and request.resource == SERVICE.plural


async def _delete(this: Run, operator: Operator, stored: Sequence[Manifest]) -> Phase:
    """Delete all resources; their children stay, as nobody collects them here, and concern nobody."""
    this.audit.new()
    used, started = cpu_seconds(operator.pid), time.monotonic()
    paths = [SERVER.path(*key_of(body)) for body in stored]
    await work.each(paths, lambda path: this.client.send("DELETE", path), at_once=AT_ONCE)
    quiet = await this.rest(operator)
    return _phase(quiet - started, cpu_seconds(operator.pid) - used, this.audit.new(USER))


def _phase(seconds: float, cpu: float, requests: Sequence[Request]) -> Phase:
    writes = Counter(one.resource for one in requests if one.is_write)
    events, leases = writes.pop("events", 0), writes.pop("leases", 0)
    return Phase(
        seconds=seconds,
        cpu_seconds=cpu,
        writes=writes.total(),
        events=events,
        leases=leases,
        refused=sum(one.code >= 400 for one in requests),
        requests=dict(Counter(one.verb for one in requests)),
    )
