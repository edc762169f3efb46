"""All that examples and golden files ask of an operator, applied to one API server in a row."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from flame_operator.resource.kinds import (
    CHILD_KINDS,
    JOB,
    KINDS,
    POD,
    SERVER,
    SERVICE,
    VOLUME_CLAIM,
    Kind,
    key_of,
)
from tests.harness.client import ApiError, Client
from tests.harness.paths import REPO
from tests.support.cluster.cluster import CRD, Json

RELEASE_NAMESPACE = "flame-mcp-system"
SECONDS = 60
STORE = ((POD, "docs-qdrant-0"), (VOLUME_CLAIM, "storage-docs-qdrant-0"))
GROWING: Json = {
    "metadata": {"name": "growing"},
    "provisioner": "kubernetes.io/no-provisioner",
    "allowVolumeExpansion": True,
}
VOLUME: Json = {
    "metadata": {"name": "growing"},
    "spec": {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "growing",
        "hostPath": {"path": "/nowhere"},
    },
}
GOLDEN = REPO / "tests/flame_operator/desired/golden"


def specs() -> dict[str, Json]:
    """All specs of the examples and golden files, by a name for a namespace."""
    files = [*sorted((REPO / "examples").glob("*.yaml")), *sorted(GOLDEN.glob("*.in.yaml"))]
    found = {}
    for file in files:
        for number, body in enumerate(yaml.safe_load_all(file.read_text())):
            if body and body["kind"] == SERVER.kind:
                found[f"{file.name.split('.')[0]}-{number}"] = body["spec"]
    return found


def switched_off() -> Json:
    """A spec with as little as possible; without pods: a Qdrant waits until they are replaced."""
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    off = {
        name: {"type": "Disabled"}
        for name, schema in fields.items()
        if "Disabled" in schema.get("properties", {}).get("type", {}).get("enum", [])
    }
    return {**off, "replicas": 0}


def references(value: Any) -> Iterator[Json]:  # noqa: ANN401 - any JSON value
    """The Secrets and ConfigMaps that a spec refers to, with the keys that it names."""
    match value:
        case dict():
            for name, item in value.items():
                kind = "Secret" if name.endswith("SecretRef") else "ConfigMap"
                if name.endswith(("SecretRef", "ConfigMapRef")) and "key" in item:
                    data = {"stringData" if kind == "Secret" else "data": {item["key"]: "something"}}
                    yield {"apiVersion": "v1", "kind": kind, "metadata": {"name": item["name"]}, **data}
                else:
                    yield from references(item)
        case list():
            for item in value:
                yield from references(item)


def foreign_children() -> Iterator[Json]:
    """One object of each kind that the golden files have, as somebody else might have made it."""
    found: dict[str, Json] = {}
    for file in sorted(GOLDEN.glob("*.out.yaml")):
        for child in yaml.safe_load_all(file.read_text()):
            found.setdefault(child["kind"], child)
    for child in found.values():
        metadata = {"name": "docs", "labels": {"app.kubernetes.io/managed-by": "somebody"}}
        yield {**child, "metadata": metadata}


@dataclass
class Scene:
    """The scenario's hands."""

    client: Client

    async def put(self, kind: Kind, namespace: str, body: Json) -> None:
        placed = {**body, "metadata": {**body["metadata"], "namespace": namespace}}
        await self.client.apply(kind.path(*key_of(placed)), placed, manager="test")

    async def serve(self, namespace: str, spec: Json) -> None:
        body = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "metadata": {"name": "docs"}}
        await self.put(SERVER, namespace, {**body, "spec": spec})

    async def make_namespace(self, name: str) -> None:
        await self.client.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def is_there(self, method: str, path: str) -> bool:
        """Whether there was something to get or delete."""
        try:
            await self.client.send(method, path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def wait_for_status(self, namespace: str) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            body = await self.client.send("GET", SERVER.path(namespace, "docs"))
            if body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"]:
                return
            assert time.monotonic() < deadline, f"nobody has looked after {namespace}: {body}"
            await asyncio.sleep(0.1)

    async def begin(self) -> set[str]:
        """Make resources of all kinds, and one whose children's names are all taken."""
        tenants = specs()
        served = {kind.kind for kind in CHILD_KINDS if await self.is_there("GET", kind.path())}
        for namespace, spec in tenants.items():
            await self.make_namespace(namespace)
            for body in references(spec):
                await self.put(KINDS[body["kind"]], namespace, body)
            await self.serve(namespace, spec)
        for namespace, spec in tenants.items():
            await self.make_namespace(f"taken-{namespace}")
            for body in foreign_children():
                if body["kind"] in served:
                    await self.put(KINDS[body["kind"]], f"taken-{namespace}", body)
            await self.serve(f"taken-{namespace}", spec)
        return {*tenants, *(f"taken-{namespace}" for namespace in tenants)}

    async def wait_for(self, what: str, path: str, holds: Callable[[Json], bool]) -> Json:
        """Wait until something is there and as it should be."""
        deadline = time.monotonic() + SECONDS
        while True:
            if await self.is_there("GET", path):
                found = await self.client.send("GET", path)
                if holds(found):
                    return found
            assert time.monotonic() < deadline, f"never there: {what}"
            await asyncio.sleep(0.1)

    async def load(self, namespace: str) -> None:
        """A Qdrant of a resource's own, up to a Job; then another spec, and larger volumes."""
        pod, claim = (kind.path(namespace, name) for kind, name in STORE)
        await self.client.send("POST", "/apis/storage.k8s.io/v1/storageclasses", GROWING)
        await self.client.send("POST", "/api/v1/persistentvolumes", VOLUME)
        await self.make_namespace(namespace)
        storage = {"storageClassName": "growing"}
        managed: Json = {"storage": storage}
        spec: Json = {"vectorStore": {"type": "Managed", "managed": managed}}
        await self.serve(namespace, spec)
        # There is no node: this is what a kubelet would report.
        await self.wait_for("Qdrant's pod", pod, lambda _: True)
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await self.merge(f"{pod}/status", {"status": ready})
        await self.wait_for("a Job", JOB.path(namespace), lambda found: bool(found["items"]))
        await self.wait_for("its volume", claim, lambda found: found["status"]["phase"] == "Bound")
        managed["storage"] = {**storage, "size": "20Gi"}
        await self.serve(namespace, {**spec, "embedding": {"type": "None"}})
        await self.wait_for(
            "a larger volume",
            claim,
            lambda found: found["spec"]["resources"]["requests"]["storage"] == "20Gi",
        )

    async def merge(self, path: str, body: Json) -> None:
        await self.client.send("PATCH", path, body, content_type="application/merge-patch+json")

    async def go_on(self, tenants: set[str]) -> None:
        """Once all have been looked after: damage something, and switch everything off."""
        for namespace in tenants:
            await self.wait_for_status(namespace)
        mine = [namespace for namespace in sorted(tenants) if not namespace.startswith("taken-")]
        await self.is_there("DELETE", SERVICE.path(mine[0], "docs"))
        for namespace in mine:
            await self.serve(namespace, switched_off())
        for namespace in mine:
            await self.wait_for_status(namespace)
        await self.client.send("DELETE", SERVER.path(mine[0], "docs"))
