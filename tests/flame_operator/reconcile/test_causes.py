"""Whole passes: the status tells why Qdrant, a run or an update doesn't get on, and is written once."""
# ruff: noqa: ANN401 - JSON

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from flame_operator.errors import Refused
from flame_operator.formats.times import FORMAT
from flame_operator.resource.annotations import REINDEX
from flame_operator.resource.kinds import DEPLOYMENT, JOB, SERVER, STATEFUL_SET, Key, Manifest
from tests.support.operator.fake_kube import FakeKube
from tests.support.operator.pods import claim, ended, event, no_node, pod, runs, waiting
from tests.support.operator.reconciling import KEY, Operator, conditions, running, with_pods, with_server

MANAGED = {"type": "Managed"}
STORE = Key(KEY.namespace, "docs-qdrant")
NO_CLASS = 'storageclass.storage.k8s.io "no-such-class" not found'
LIMIT = 'Error creating: pods "docs-ingest-{}" is forbidden: maximum memory usage per Container is 600Mi'


class Scene:
    """An operator, the cluster that it works in, and time."""

    def __init__(self, kube: FakeKube, operator: Operator) -> None:
        self.kube, self.operator = kube, operator

    async def later(self, seconds: float) -> None:
        self.operator.seconds += seconds
        now = datetime.fromisoformat(self.operator.now) + timedelta(seconds=seconds)
        self.operator.now = now.strftime(FORMAT)
        await self.operator.settle()

    async def store(self, *, ready: int = 1, replicas: int = 1, **fields: Any) -> None:
        counts = dict.fromkeys(("readyReplicas", "availableReplicas"), ready)
        counts |= dict.fromkeys(("replicas", "updatedReplicas"), replicas) | fields
        generation = self.kube.objects[STATEFUL_SET.kind, STORE]["metadata"].get("generation", 0)
        found = {"observedGeneration": generation, **counts}
        self.operator.cache.put(self.kube.edit(STATEFUL_SET.kind, STORE, status=found))
        await self.operator.settle()

    def add_pod_of(self, component: str, found: Manifest) -> None:
        found["metadata"]["labels"] = {
            "app.kubernetes.io/name": f"flame-mcp-{component}", "app.kubernetes.io/instance": "docs",
        }  # fmt: skip
        self.kube.objects["Pod", Key(KEY.namespace, found["metadata"]["name"])] = found

    def add_pod_of_run(self, found: Manifest) -> None:
        found["metadata"]["labels"] = {"batch.kubernetes.io/job-name": self.job["metadata"]["name"]}
        self.kube.objects["Pod", Key(KEY.namespace, found["metadata"]["name"])] = found

    def add_event(self, about: Manifest, reason: str, message: str) -> None:
        body = {"kind": "Event", "metadata": {"name": f"e{len(self.kube.objects)}", "namespace": "team"}}
        self.kube.create(
            {**body, **event(reason, message), "involvedObject": {"uid": about["metadata"]["uid"]}}
        )

    @property
    def jobs(self) -> list[Manifest]:
        return [body for (kind, _), body in self.kube.objects.items() if kind == JOB.kind]

    @property
    def job(self) -> Manifest:
        return self.jobs[-1]

    @property
    def status(self) -> Any:
        return self.kube.objects[SERVER.kind, KEY]["status"]

    def message(self, kind: str) -> str:
        found: dict[str, str] = {one["type"]: one["message"] for one in self.status["conditions"]}
        return found[kind]

    def is_told(self, kind: str) -> tuple[str, str]:
        return conditions(self.kube)[kind]


async def scene(**spec: Any) -> Scene:
    kube = with_server(**{"vectorStore": MANAGED, **spec})
    found = Scene(kube, await running(kube))
    with_pods(kube, found.operator)
    await found.operator.settle()
    return found


async def test_a_qdrant_without_a_volume_is_told_once() -> None:
    found = await scene()
    await found.store(ready=0)
    found.add_pod_of(
        "qdrant", pod(name="docs-qdrant-0", conditions=(no_node("unbound PersistentVolumeClaims"),))
    )
    found.add_event(found.kube.create(claim(storage_class="no-such-class")), "ProvisioningFailed", NO_CLASS)
    assert found.is_told("Stalled") == ("False", "UpToDate")
    await found.later(11)
    assert found.is_told("Stalled") == ("True", "PodsNotReady")
    assert NO_CLASS in found.message("Stalled")
    assert NO_CLASS in found.message("IndexReady")
    writes = len(found.kube.writes)
    for _ in range(5):
        await found.later(30)
    assert len(found.kube.writes) == writes
    # It has got its volume, and the pod starts.
    found.kube.edit("PersistentVolumeClaim", Key("team", "storage-docs-qdrant-0"), status={"phase": "Bound"})
    found.add_pod_of("qdrant", pod(runs("qdrant"), name="docs-qdrant-0", phase="Running"))
    await found.later(30)
    assert found.is_told("Stalled") == ("False", "UpToDate")
    assert "Qdrant isn't ready yet." in found.message("IndexReady")


async def test_more_replicas_of_qdrant_that_crash_are_never_up_to_date() -> None:
    found = await scene(vectorStore={"type": "Managed", "managed": {"replicas": 3}})
    await found.store(ready=1, replicas=3, updatedReplicas=2)
    assert found.is_told("Reconciling")[0] == "True"
    dies = {"exitCode": 1, "message": "Failed to initialize Consensus: Connection refused"}
    crash = waiting("CrashLoopBackOff", name="qdrant", restartCount=7, lastState={"terminated": dies})
    found.add_pod_of("qdrant", pod(crash, name="docs-qdrant-2", phase="Running"))
    await found.later(11)
    assert found.is_told("Stalled") == ("True", "PodsNotReady")
    assert "Failed to initialize Consensus" in found.message("Stalled")
    assert "match the spec" not in found.message("Reconciling")


async def test_a_run_whose_pod_is_refused_says_so_and_goes_on_by_itself() -> None:
    found = await scene()
    await found.store()
    await found.operator.settle()
    found.add_event(found.job, "FailedCreate", LIMIT.format("x8k2p"))
    await found.later(11)
    assert found.is_told("Stalled") == ("True", "PodsRejected")
    assert "600Mi" in found.status["ingestion"]["progress"]
    writes = len(found.kube.writes)
    found.add_event(found.job, "FailedCreate", LIMIT.format("zzzzz"))
    await found.later(61)
    assert len(found.kube.writes) == writes
    found.add_pod_of_run(pod(runs("publish"), name="docs-ingest-1-x", phase="Running"))
    await found.later(10)
    assert found.is_told("Stalled") == ("False", "UpToDate")
    assert found.status["ingestion"]["progress"] == "loading the new collection and checking it."


async def test_the_deadline_of_a_run_that_never_worked_names_the_cause() -> None:
    """Kubernetes has deleted the pod, and an operator that has just started knows only the status."""
    found = await scene()
    await found.store()
    found.add_event(found.job, "FailedCreate", LIMIT.format("x8k2p"))
    await found.later(11)
    over = {
        "conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "m"}]
    }
    found.kube.edit(JOB.kind, Key(KEY.namespace, found.job["metadata"]["name"]), status=over)
    again = Scene(found.kube, await running(found.kube))
    assert "600Mi" in again.status["ingestion"]["message"]
    assert "raise it" not in again.status["ingestion"]["message"]


PUBLISHED = json.dumps({"step": "publish", "collection": "c2", "documents": 2, "chunks": 7})


async def test_a_container_of_others_that_never_ends_keeps_no_run_from_succeeding() -> None:
    found = await scene()
    await found.store()
    first = found.job["metadata"]["name"]
    found.add_pod_of_run(
        pod(runs("mesh-proxy"), ended("publish", message=PUBLISHED), name="p", phase="Running")
    )
    await found.later(10)
    assert found.status["ingestion"]["phase"] == "Succeeded"
    assert found.status["index"]["collection"] == "c2"
    assert found.is_told("IndexReady") == ("True", "IndexLoaded")
    # Kubernetes has some time to end the Job itself.
    assert [job["metadata"]["name"] for job in found.jobs] == [first]
    await found.later(61)
    assert found.jobs == []
    metadata = {**found.kube.objects[SERVER.kind, KEY]["metadata"], "annotations": {REINDEX: "1"}}
    found.operator.cache.put(found.kube.edit(SERVER.kind, KEY, metadata=metadata))
    await found.later(1)
    assert len(found.jobs) == 1


async def test_a_missing_certificate_of_a_source_is_waited_for() -> None:
    bundle = {"name": "missing-ca", "key": "ca.crt"}
    git = {"url": "https://git.example.com/docs", "caBundleConfigMapRef": bundle}
    found = await scene(ingestion={"sources": [{"name": "docs", "git": git}]})
    await found.store()
    assert found.jobs == []
    assert (
        "spec.ingestion.sources[0].git.caBundleConfigMapRef: ConfigMap team/missing-ca doesn't exist"
        in found.status["ingestion"]["progress"]
    )


async def test_an_update_whose_image_can_not_be_pulled_is_told_within_seconds() -> None:
    found = await scene(vectorStore={"type": "Embedded"})
    assert found.is_told("Reconciling") == ("False", "UpToDate")
    body = found.kube.objects[DEPLOYMENT.kind, KEY]["status"]
    found.operator.cache.put(
        found.kube.edit(DEPLOYMENT.kind, KEY, status={**body, "replicas": 3, "updatedReplicas": 1})
    )
    again = await found.operator.settle()
    assert again is not None
    assert again <= 11
    assert found.is_told("Reconciling") == ("True", "RolloutInProgress")
    found.add_pod_of("server", pod(waiting("ErrImagePull", image="new:2"), name="docs-7f5-a"))
    await found.later(11)
    assert found.is_told("Available") == ("True", "Available")
    assert found.is_told("Stalled") == ("True", "PodsNotReady")
    assert "new:2 can't be pulled" in found.message("Reconciling")
    # Each pass asks again, so that the condition doesn't come and go.
    await found.later(1)
    assert found.is_told("Stalled") == ("True", "PodsNotReady")
    # A new spec gets new time.
    metadata = {**found.kube.objects[SERVER.kind, KEY]["metadata"], "generation": 2}
    found.operator.cache.put(found.kube.edit(SERVER.kind, KEY, metadata=metadata))
    await found.operator.reconcile(KEY)
    assert found.is_told("Stalled") == ("False", "UpToDate")


async def test_a_volume_that_still_grows_is_not_up_to_date() -> None:
    found = await scene()
    metadata = {
        **found.kube.objects[STATEFUL_SET.kind, STORE]["metadata"],
        "creationTimestamp": found.operator.now,
    }
    found.kube.edit(STATEFUL_SET.kind, STORE, metadata=metadata)
    kept = claim("Bound", size="20Gi")
    kept["status"]["capacity"] = {"storage": "10Gi"}
    found.kube.create(kept)
    await found.store()
    found.add_pod_of_run(pod(ended("publish", message=PUBLISHED), name="p", phase="Running"))
    await found.later(10)
    assert found.is_told("Reconciling") == ("True", "RolloutInProgress")
    assert "grows from 10Gi to 20Gi" in found.message("Reconciling")
    # As long as it lasts, though the StatefulSet is no longer new.
    await found.later(3600)
    assert found.is_told("Reconciling") == ("True", "RolloutInProgress")
    status = {"phase": "Bound", "capacity": {"storage": "20Gi"}}
    found.kube.edit("PersistentVolumeClaim", Key("team", "storage-docs-qdrant-0"), status=status)
    await found.later(60)
    assert found.is_told("Reconciling") == ("False", "UpToDate")
    found.kube.requests.clear()
    await found.later(60)
    assert "get PersistentVolumeClaim" not in found.kube.requests


async def test_volumes_kept_from_before_grow_before_a_new_qdrant_takes_them() -> None:
    kube = with_server(vectorStore={"type": "Managed", "managed": {"storage": {"size": "20Gi"}}})
    kube.create(claim("Bound", size="10Gi"))
    await running(kube)
    kept = kube.objects["PersistentVolumeClaim", Key("team", "storage-docs-qdrant-0")]
    assert kept["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert kube.writes.index("correct PersistentVolumeClaim") < kube.writes.index("apply StatefulSet")


@pytest.mark.parametrize("size", ["20Gi", "21474836480", "30Gi"])
async def test_volumes_kept_from_before_that_are_large_enough_are_left_alone(size: str) -> None:
    kube = with_server(vectorStore={"type": "Managed", "managed": {"storage": {"size": "20Gi"}}})
    kube.create(claim("Bound", size=size))
    await running(kube)
    assert "correct PersistentVolumeClaim" not in kube.writes


async def test_a_volume_kept_from_before_that_can_not_grow_is_told() -> None:
    kube = with_server(vectorStore={"type": "Managed", "managed": {"storage": {"size": "20Gi"}}})
    kube.create(claim("Bound", size="10Gi"))
    kube.fail["correct PersistentVolumeClaim"] = Refused("the class doesn't allow it")
    operator = Operator(kube)
    await operator.start()
    with pytest.raises(Refused):
        await operator.reconcile(KEY)
    assert conditions(kube)["Stalled"] == ("True", "ApplyRefused")
    told = next(one["message"] for one in kube.objects[SERVER.kind, KEY]["status"]["conditions"])
    assert "kept from before with 10Gi, the spec asks for 20Gi" in told
    assert (STATEFUL_SET.kind, STORE) not in kube.objects
