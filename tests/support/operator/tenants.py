"""Many tenants' servers over one operator in memory, and what their pods do."""
# ruff: noqa: ANN401 - JSON

from datetime import UTC, datetime
from typing import Any

from flame_operator.formats.times import FORMAT
from flame_operator.resource.kinds import JOB, POD, SERVER, Key, Manifest
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.reconciling import Operator

LOADS = {
    "vectorStore": {"type": "External", "external": {"url": "http://qdrant:6333"}},
    "ingestion": {"sources": [{"name": "flame", "bundled": {}}], "deadlineSeconds": 86400},
}
"""The spec of a server that loads docs into a Qdrant that somebody else runs."""
START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
WORKS = {"containerStatuses": [{"name": "publish", "state": {"running": {}}}]}
STARTS: Manifest = {"phase": "Pending"}
NO_NODE = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}


class Tenants:
    """An operator with servers in many namespaces."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.operator = Operator(self.kube)

    def add(self, namespace: str, *, servers: int = 1, **spec: Any) -> list[Key]:
        keys = [Key(namespace, f"docs-{number}") for number in range(servers)]
        for key in keys:
            body = server(key.name, namespace, uid=f"uid-{namespace}-{key.name}", **(spec or LOADS))
            self.operator.cache.put(self.kube.create(body))
        return keys

    def remove(self, key: Key) -> None:
        self.operator.cache.drop(self.kube.remove(SERVER.kind, key))

    async def reconcile(self, *keys: Key) -> None:
        for key in keys:
            await self.operator.reconcile(key)

    async def later(self, seconds: float, *keys: Key) -> None:
        """Time passes, with a pass over each server every 30 s, as the queue makes them."""
        for _ in range(int(seconds // 30)):
            self.operator.seconds += 30
            self.operator.now = datetime.fromtimestamp(START + self.operator.seconds, UTC).strftime(FORMAT)
            await self.reconcile(*keys)

    def runs(self, *keys: Key) -> list[Key]:
        """Those of the servers that have a run."""
        owners = {
            (body["metadata"]["namespace"], body["metadata"]["ownerReferences"][0]["name"])
            for (kind, _), body in self.kube.objects.items()
            if kind == JOB.kind
        }
        return [key for key in keys if tuple(key) in owners]

    def job(self, key: Key) -> Manifest:
        return next(
            body
            for (kind, place), body in self.kube.objects.items()
            if kind == JOB.kind
            and place.namespace == key.namespace
            and body["metadata"]["ownerReferences"][0]["name"] == key.name
        )

    def pod(self, key: Key, status: Manifest) -> None:
        """The pod of the server's run is in this state."""
        name = self.job(key)["metadata"]["name"]
        self.kube.objects[POD.kind, Key(key.namespace, f"{name}-x")] = {
            "kind": POD.kind,
            "metadata": {
                "namespace": key.namespace,
                "name": f"{name}-x",
                "labels": {"batch.kubernetes.io/job-name": name},
            },
            "spec": {"containers": [{"name": "publish"}]},
            "status": status,
        }

    def end(self, key: Key, message: str = "{}", *, kind: str = "Complete") -> None:
        """The run's container has left this message, and Kubernetes says that the Job has ended."""
        terminated = {"terminated": {"exitCode": int(kind != "Complete"), "message": message}}
        self.pod(key, {"containerStatuses": [{"name": "publish", "state": terminated}]})
        place = Key(key.namespace, self.job(key)["metadata"]["name"])
        status = {"conditions": [{"type": kind, "status": "True"}]}
        self.operator.cache.put(self.kube.edit(JOB.kind, place, status=status))

    def conditions(self, key: Key) -> dict[str, tuple[str, str]]:
        found = self.kube.objects[SERVER.kind, key]["status"]["conditions"]
        return {one["type"]: (one["status"], one["reason"]) for one in found}
