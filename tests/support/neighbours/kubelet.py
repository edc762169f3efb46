"""Plays the controllers and kubelets of a cluster: pods take their time to start, and docs to load."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from flame_operator.formats.times import utc_now
from flame_operator.resource.kinds import DEPLOYMENT, JOB, POD, SERVICE, Key, Kind, Manifest, key_of
from tests.harness.client import ApiError, Client, Json
from tests.support.neighbours.listening_pods import Pods
from tests.support.operator.evil_pod import ATTACKS

MERGE = "application/merge-patch+json"
OURS = {"labelSelector": "app.kubernetes.io/managed-by=flame-operator"}
NO_NODE = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
}  # fmt: skip
RESULT = json.dumps({"step": "publish", "collection": "flame-docs__1", "documents": 2, "chunks": 9})


def kind_of(server: Key) -> str:
    """What answers for a server: `honest`, a kind of attack, or nothing."""
    if server.namespace.startswith("honest-"):
        return "honest"
    name, _, number = server.name.partition("-")
    return list(ATTACKS)[int(number)] if name == "evil" else ""


@dataclass
class Kubelet:
    """Makes pods ready and Jobs complete.

    Attributes:
        client: The API server.
        honest: Where honest servers run.
        evil: Where evil servers run.
        pod_seconds: How long a pod takes until it is ready.
        load_seconds: How long an honest tenant's Job takes.
    """

    client: Client
    honest: Pods
    evil: Pods
    pod_seconds: float
    load_seconds: float
    _begun: set[tuple[str, Key]] = field(default_factory=set)
    _listens: set[Key] = field(default_factory=set)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(group, DEPLOYMENT, self._start_pods))
            group.create_task(self._follow(group, JOB, self._run))

    async def _follow(
        self, group: asyncio.TaskGroup, kind: Kind, work: Callable[[Manifest], Awaitable[None]]
    ) -> None:
        async for event in self.client.watch(kind.path(), query=OURS):
            body = event["object"]
            work_of = (f"{kind.kind} {body['metadata'].get('generation')}", key_of(body))
            known = kind is JOB or kind_of(key_of(body))
            if event["type"] != "DELETED" and known and work_of not in self._begun:
                self._begun.add(work_of)
                group.create_task(self._do(work, body))

    async def _do(self, work: Callable[[Manifest], Awaitable[None]], body: Manifest) -> None:
        # Whatever has been deleted meanwhile needs nothing more.
        with suppress(ApiError):
            await work(body)

    async def _start_pods(self, deployment: Manifest) -> None:
        key = key_of(deployment)
        await asyncio.sleep(self.pod_seconds)
        if key not in self._listens:
            self._listens.add(key)
            service = (await self.client.send("GET", SERVICE.path(*key)))["spec"]
            pods = self.honest if kind_of(key) == "honest" else self.evil
            await pods.listen(kind_of(key), service["clusterIP"], service["ports"][0]["port"])
        names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        progressing = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            **dict.fromkeys(names, deployment["spec"]["replicas"]),
            "conditions": [progressing],
        }
        await self._patch(DEPLOYMENT, key, status)

    async def _run(self, job: Manifest) -> None:
        pod = await self.client.send("POST", POD.path(key_of(job).namespace), _pod_of(job))
        if kind_of(key_of(job)) == "honest":
            await self._load(job, pod)
        else:
            await self._patch(POD, key_of(pod), {"phase": "Pending", "conditions": [NO_NODE]})

    async def _load(self, job: Manifest, pod: Manifest) -> None:
        key, began = key_of(job), utc_now()
        step = pod["spec"]["containers"][-1]
        container = {"name": step["name"], "image": step["image"], "imageID": "", "restartCount": 0}
        runs = {**container, "ready": True, "state": {"running": {"startedAt": began}}}
        await self._patch(POD, key_of(pod), {"phase": "Running", "containerStatuses": [runs]})
        await self._patch(JOB, key, {"startTime": began, "active": 1})
        await asyncio.sleep(self.load_seconds)
        last = {"exitCode": 0, "message": RESULT, "startedAt": began, "finishedAt": utc_now()}
        ended = {**container, "ready": False, "state": {"terminated": last}}
        await self._patch(POD, key_of(pod), {"phase": "Succeeded", "containerStatuses": [ended]})
        conditions = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
        done = {"active": 0, "succeeded": 1, "completionTime": utc_now(), "conditions": conditions}
        await self._patch(JOB, key, done)

    async def _patch(self, kind: Kind, key: Key, status: Json) -> None:
        await self.client.send("PATCH", f"{kind.path(*key)}/status", {"status": status}, content_type=MERGE)


def _pod_of(job: Manifest) -> Manifest:
    template = job["spec"]["template"]
    name = job["metadata"]["name"]
    labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": name}
    metadata = {"name": f"{name}-0", "namespace": job["metadata"]["namespace"], "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
