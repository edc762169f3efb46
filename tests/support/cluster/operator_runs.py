"""Starts and kills operators, each in a namespace of its own, and waits for what becomes of a resource."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults
from flame_operator.resource.kinds import SERVER
from flame_operator.resource.server import parse_server
from tests.harness.client import Client, admin
from tests.harness.fork_server import ForkedOperator, ForkServer
from tests.harness.proxy import FaultProxy
from tests.support.cluster.cluster import Cluster, server
from tests.support.cluster.namespace_state import state

Json = dict[str, Any]

SETTINGS = {"FLAME_OPERATOR_LEADER_ELECTION": "false", "FLAME_OPERATOR_RESYNC_SECONDS": "3600"}
SECONDS = 60
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Workload:
    """A change of a resource from one spec to another; None stands for no resource.

    The last spec wants no pods, so that there is an end that everybody reaches without a node.
    """

    before: Json | None
    after: Json | None
    writes: int
    """How many writes the change takes at least."""


REST = {"replicas": 0}
CHILDREN = desired_children(
    parse_server(server("docs", "any", **REST)), Defaults(image="flame-mcp-server:test")
)


@dataclass
class Scene:
    """Where workloads are run."""

    cluster: Cluster
    client: Client
    forks: ForkServer
    folder: Path

    @asynccontextmanager
    async def proxy(self) -> AsyncIterator[tuple[FaultProxy, str]]:
        """A new namespace, and the way to the API server for an operator of its own, a user of its name."""
        namespace = f"life-{next(_numbers)}"
        await self.client.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        with FaultProxy(self.cluster.plane, namespace, self.folder) as proxy:
            yield proxy, namespace

    def operator(self, proxy: FaultProxy, namespace: str) -> ForkedOperator:
        log = self.folder / f"{namespace}.log"
        return self.forks.start(proxy.kubeconfig, log, "--namespace", namespace, **SETTINGS)

    async def write(self, namespace: str, spec: Json | None) -> None:
        path = SERVER.path(namespace, "docs")
        if spec is None:
            await self.client.send("DELETE", path)
        else:
            await self.client.apply(path, server("docs", namespace, **spec), manager="test")

    async def wait(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + SECONDS
        while not await condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not after {SECONDS} s")
            await asyncio.sleep(0.1)

    async def is_seen(self, namespace: str) -> bool:
        """Whether the operator has said something about the newest spec."""
        return speaks_of_newest(await self.client.send("GET", SERVER.path(namespace, "docs")))

    async def is_at_rest(self, namespace: str) -> bool:
        """Whether operator and controllers have done and said all that there is to do and say."""
        found = await state(self.client, namespace)
        body = found.get(f"{SERVER.kind} docs")
        if body is None:
            return not found
        says = {one["type"]: one["status"] for one in body.get("status", {}).get("conditions", [])}
        return says.get("Reconciling") == "False" and speaks_of_newest(body)

    async def prepare(self, proxy: FaultProxy, namespace: str, workload: Workload) -> None:
        """Have the first spec carried out, and write the second while no operator runs."""
        if workload.before is not None:
            operator = self.operator(proxy, namespace)
            await self.write(namespace, workload.before)
            await self.wait("the first spec", partial(self.is_seen, namespace))
            operator.kill()
        await self.write(namespace, workload.after)

    async def undisturbed(self, workload: Workload) -> Json:
        """The state that a workload ends in."""
        async with self.proxy() as (proxy, namespace):
            await self.prepare(proxy, namespace, workload)
            operator = self.operator(proxy, namespace)
            await self.wait("rest", partial(self.is_at_rest, namespace))
            operator.kill()
            return await state(self.client, namespace)


def speaks_of_newest(body: Json) -> bool:
    return bool(body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"])


@asynccontextmanager
async def scene(cluster: Cluster, folder: Path) -> AsyncIterator[Scene]:
    async with admin(cluster.plane) as client:
        with ForkServer() as forks:
            yield Scene(cluster, client, forks, folder)
