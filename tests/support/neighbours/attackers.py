"""Tenants who mean harm, in a process of their own: they fill the cluster, then never rest.

Run with the API server's URL, its authority's folder, the operator's two ports, and a JSON object of `Harm`.
It prints a line when everything has been made.
"""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from flame_operator.resource.kinds import CONFIG_MAP, DEPLOYMENT, SERVER, STATEFUL_SET, Key, Kind
from tests.harness.client import ApiError, Client, Json, connected
from tests.harness.control_plane import ControlPlane
from tests.harness.operator_process import Operator
from tests.harness.paths import REPO
from tests.support.neighbours.kubelet import MERGE
from tests.support.operator.evil_pod import ATTACKS
from tests.support.operator.tenants import LOADS
from tests.support.server.slow_clients import SlowClients

EVIL_PORT = 18081
AT_ONCE = 8
MEGABYTE = "x" * 1_000_000
HEAD = b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"y" * 8000
NEVER = {**LOADS, "scheduling": {"nodeSelector": {"no": "such-node"}}}
EVIL: Json = {"replicas": 1, "service": {"port": EVIL_PORT}, "verification": {"interval": "30s"}}


@dataclass(frozen=True)
class Harm:
    """How much of it.

    Attributes:
        namespaces: How many namespaces are hostile.
        config_maps: How many labelled ConfigMaps of 1 MB each has.
        families: Of how many families of attacks each has a server; all kinds are spread over the namespaces.
        loads: How many resources each has whose pods can't start, and that hold turns to load docs.
        connections: How many connections each holds open without ever finishing a request.
        edits_per_second: Of all namespaces together: edits that make the operator check or report anew.
    """

    namespaces: int = 100
    config_maps: int = 10
    families: int = 10
    loads: int = 3
    connections: int = 20
    edits_per_second: float = 20

    def evil_servers(self, namespace: int) -> list[str]:
        """The names of the servers in a namespace: one of each family, another in the next namespace."""
        size = -(-len(ATTACKS) // self.families)
        families = [list(range(len(ATTACKS)))[start : start + size] for start in range(0, len(ATTACKS), size)]
        return [f"evil-{family[namespace % len(family)]}" for family in families]


@asynccontextmanager
async def attack(plane: ControlPlane, operator: Operator, harm: Harm) -> AsyncIterator[None]:
    """Attackers who have filled the cluster, and go on."""
    where = [plane.endpoints.server, str(plane.state / "pki"), str(operator.port), str(operator.metrics_port)]
    command = ["nice", "-n", "5", sys.executable, "-m", __name__, *where, json.dumps(asdict(harm))]
    process = await asyncio.create_subprocess_exec(*command, cwd=REPO, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield
        assert process.returncode is None, "the attackers have ended"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@dataclass(frozen=True)
class Attackers:
    """All of them."""

    client: Client
    harm: Harm

    @property
    def names(self) -> list[str]:
        return [f"hostile-{number}" for number in range(self.harm.namespaces)]

    async def settle(self) -> None:
        """Make everything that an attack needs."""
        todo = [self._settle(number, name) for number, name in enumerate(self.names)]
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(work: Awaitable[None]) -> None:
            async with slots:
                await work

        await asyncio.gather(*map(one, todo))

    async def _settle(self, number: int, namespace: str) -> None:
        await self.client.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        for one in range(self.harm.config_maps):
            labels = {
                "app.kubernetes.io/managed-by": "flame-operator",
                "app.kubernetes.io/instance": f"never-{one}",
            }
            body = {"metadata": {"name": f"junk-{one}", "labels": labels}, "data": {"x": MEGABYTE}}
            await self.client.send("POST", CONFIG_MAP.path(namespace), body)
        for name in self.harm.evil_servers(number):
            await self._serve(Key(namespace, name), EVIL)
        for one in range(self.harm.loads):
            await self._serve(Key(namespace, f"never-{one}"), NEVER)
        await self._serve(Key(namespace, "managed"), {"vectorStore": {"type": "Managed"}})

    async def _serve(self, key: Key, spec: Json) -> None:
        body = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "spec": spec}
        await self.client.send("POST", SERVER.path(key.namespace), {**body, "metadata": {"name": key.name}})

    async def never_rest(self) -> None:
        """Edit, in turns, what makes the operator check, report, repair or read."""
        attacks: Sequence[Callable[[Key, int], Awaitable[None]]] = [
            self._ask_something_else, self._lose_a_secret, self._ask_something_else, self._scale,
            self._ask_something_else, self._lose_a_secret, self._swell_a_child, self._touch_junk,
        ]  # fmt: skip
        for number in itertools.count():
            namespace = self.names[number % len(self.names)]
            round_ = number // len(self.names)
            evil = self.harm.evil_servers(number % len(self.names))
            work = attacks[(number + round_) % len(attacks)]
            # A child that isn't there yet is attacked the next time.
            with suppress(ApiError):
                await work(Key(namespace, evil[round_ % len(evil)]), number)
            await asyncio.sleep(1 / self.harm.edits_per_second)

    async def _ask_something_else(self, key: Key, number: int) -> None:
        await self._merge(SERVER, key, {"spec": {"verification": {"query": f"question {number}"}}})

    async def _lose_a_secret(self, key: Key, number: int) -> None:
        secret = {"name": f"missing-{number}", "key": "key"} if number % 2 else None
        external = {"external": {"apiKeySecretRef": secret}}
        await self._merge(SERVER, Key(key.namespace, "never-0"), {"spec": {"vectorStore": external}})

    async def _scale(self, key: Key, number: int) -> None:
        huge = {"spec": {"replicas": 2**31 - 1 - number}}
        await self._merge(STATEFUL_SET, Key(key.namespace, "managed-qdrant"), huge)
        await self._merge(DEPLOYMENT, key, {"spec": {"replicas": 1000 + number}})

    async def _swell_a_child(self, key: Key, number: int) -> None:
        await self._merge(CONFIG_MAP, key, {"data": {f"x{number}": MEGABYTE[:900_000]}})

    async def _touch_junk(self, key: Key, number: int) -> None:
        junk = Key(key.namespace, "junk-0")
        await self._merge(CONFIG_MAP, junk, {"metadata": {"annotations": {"touched": str(number)}}})

    async def _merge(self, kind: Kind, key: Key, body: Json) -> None:
        await self.client.send("PATCH", kind.path(*key), body, content_type=MERGE)


async def main(server: str, pki: Path, ports: Sequence[int], harm: Harm) -> None:
    async with connected(server, pki, connections=AT_ONCE) as client:
        attackers = Attackers(client, harm)
        await attackers.settle()
        slow = harm.namespaces * harm.connections // len(ports)
        clients = [SlowClients(port, slow, HEAD, drip=b"z", again=True) for port in ports]
        with clients[0], clients[1]:
            print("ready", flush=True)
            await attackers.never_rest()


if __name__ == "__main__":
    url, folder, liveness, metrics, text = sys.argv[1:]
    asyncio.run(main(url, Path(folder), [int(liveness), int(metrics)], Harm(**json.loads(text))))
