"""What is written: the resources, and what the operator makes of them, written by a client with no brain."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults
from flame_operator.resource.kinds import CHILD_KINDS, KINDS, MANAGER, SERVER, Manifest, key_of
from flame_operator.resource.server import parse_server
from tests.harness.client import Client
from tests.harness.paths import REPO

CRD = REPO / "crds" / "flamemcpservers.yaml"
DEFAULTS = Defaults(image="flame-mcp-server:test")

Children = Literal["default", "fewest"]
T = TypeVar("T")


@dataclass(frozen=True)
class Workload:
    """So many resources, spread over namespaces.

    Args:
        resources: How many there are in all.
        spec: The spec of each.
        prefix: What the names of its namespaces begin with.
    """

    resources: int
    spec: Manifest
    prefix: str
    per_namespace: int = 10

    @property
    def namespaces(self) -> list[str]:
        """Their names."""
        count = -(-self.resources // self.per_namespace)
        return [f"{self.prefix}-{number}" for number in range(count)]

    @property
    def bodies(self) -> list[Manifest]:
        """The resources; neighbours are in different namespaces."""
        places = self.namespaces
        return [
            {
                "apiVersion": SERVER.api_version,
                "kind": SERVER.kind,
                "metadata": {
                    "name": f"docs-{number // len(places)}",
                    "namespace": places[number % len(places)],
                },
                "spec": self.spec,
            }
            for number in range(self.resources)
        ]


def spec_for(children: Children, crd: Path = CRD) -> Manifest:
    """`{}`, or a spec in which everything that can be switched off is."""
    if children == "default":
        return {}
    version = yaml.safe_load(crd.read_text())["spec"]["versions"][0]
    fields: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return {
        name: {"type": "Disabled"}
        for name, field in fields.items()
        if "Disabled" in field.get("properties", {}).get("type", {}).get("enum", [])
    }


def children_of(body: Manifest) -> tuple[Manifest, ...]:
    """What the operator should make of a resource."""
    return desired_children(parse_server(body), DEFAULTS)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[object]], *, at_once: int) -> None:
    """Do `work` for every item, `at_once` of them at a time."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


async def make_namespaces(client: Client, names: Sequence[str], *, at_once: int) -> None:
    """Create the namespaces, which don't count."""
    bodies = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
    await each(bodies, lambda body: client.send("POST", "/api/v1/namespaces", body), at_once=at_once)


async def create(client: Client, workload: Workload, *, at_once: int) -> list[Manifest]:
    """Create the resources; returns them as they were stored."""
    stored: list[Manifest] = []

    async def one(body: Manifest) -> None:
        stored.append(await client.send("POST", SERVER.path(body["metadata"]["namespace"]), body))

    await each(workload.bodies, one, at_once=at_once)
    return stored


@dataclass(frozen=True)
class Floor:
    """How long the plain client took, in seconds."""

    create: float
    """For the resources themselves."""
    write: float
    """For their children and statuses."""
    client_cpu: float
    """Of the client's processor time for the latter."""


async def floor(client: Client, workload: Workload, *, at_once: int) -> Floor:
    """Write what the operator would write: all children and one status a resource, in the same order.

    Everything is removed again afterwards.
    """
    await make_namespaces(client, workload.namespaces, at_once=at_once)
    started = time.monotonic()
    stored = await create(client, workload, at_once=at_once)
    created = time.monotonic()
    cpu = time.process_time()
    await each(stored, lambda body: _write_all(client, body), at_once=at_once)
    result = Floor(created - started, time.monotonic() - created, time.process_time() - cpu)
    await remove_all(client, workload.namespaces, at_once=at_once)
    return result


async def _write_all(client: Client, body: Manifest) -> None:
    key = key_of(body)
    for child in children_of(body):
        await client.apply(KINDS[child["kind"]].path(*key), child, manager=MANAGER)
    status = {
        "apiVersion": SERVER.api_version,
        "kind": SERVER.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "status": _status(body),
    }
    await client.apply(f"{SERVER.path(*key)}/status", status, manager=f"{MANAGER}-status")


def _status(body: Manifest) -> Manifest:
    """A status of the usual size; what it says matters to nobody."""
    kinds = ("Ready", "Available", "IndexReady", "Reconciling", "Stalled")
    condition = {
        "status": "Unknown",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": "Deploying",
        "message": "The Deployment has not reported on its pods yet.",
    }
    metadata = body["metadata"]
    return {
        "observedGeneration": 1,
        "conditions": [{"type": kind, **condition} for kind in kinds],
        "replicas": 0,
        "readyReplicas": 0,
        "selector": f"app.kubernetes.io/instance={metadata['name']},app.kubernetes.io/name=flame-mcp-server",
        "url": f"http://{metadata['name']}.{metadata['namespace']}.svc/mcp",
        "mode": "Standalone",
    }


async def remove_all(client: Client, namespaces: Sequence[str], *, at_once: int) -> None:
    """Delete resources and children, which nobody else does where no controllers run."""
    groups = {"", *(group["name"] for group in (await client.send("GET", "/apis"))["groups"])}
    served = [kind for kind in (SERVER, *CHILD_KINDS) if kind.group in groups]
    paths = [kind.path(namespace) for namespace in namespaces for kind in served]
    await each(paths, lambda path: client.send("DELETE", path), at_once=at_once)
