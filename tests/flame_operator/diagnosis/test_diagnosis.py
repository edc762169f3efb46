"""What is read to find out why pods don't come or don't get ready, and how little of it."""
# ruff: noqa: ANN401 - JSON

from typing import Any

import pytest

from flame_operator.diagnosis.diagnosis import EVENTS_SECONDS, MOST_REMEMBERED, NO_EVENTS_SECONDS, Diagnosis
from flame_operator.errors import Forbidden, TooLarge
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import parse_server
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.pods import SCHEDULED, claim, crashed, event, no_node, pod, waiting

SERVER = parse_server(server(vectorStore={"type": "Managed"}))
REFUSED = 'pods "docs-x" is forbidden: exceeded quota: tiny'
MISSING = 'MountVolume.SetUp failed for volume "auth-docs" : configmap "missing-ca" not found'
NO_CLASS = 'storageclass.storage.k8s.io "no-such-class" not found'


class World:
    """An API server, and a clock."""

    def __init__(self) -> None:
        self.kube, self.seconds = FakeKube(), 0.0
        self.diagnosis = Diagnosis(self.kube, lambda: self.seconds)

    def add_pod(self, found: Manifest, component: str) -> Manifest:
        labels = {"app.kubernetes.io/name": f"flame-mcp-{component}", "app.kubernetes.io/instance": "docs"}
        return self.kube.create({**found, "metadata": {**found["metadata"], "labels": labels}})

    def add_event(self, about: Manifest, reason: str, message: str) -> None:
        name = f"event-{len(self.kube.objects)}"
        body = {"kind": "Event", "metadata": {"name": name, "namespace": "team"}, **event(reason, message)}
        self.kube.create({**body, "involvedObject": {"uid": about["metadata"]["uid"]}})


def maker(kind: str, *, wanted: int = 1, total: int = 1, updated: int = 1, generation: int = 1) -> Manifest:
    status = {"observedGeneration": 1, "replicas": total, "updatedReplicas": updated}
    metadata = {"name": "docs-qdrant", "namespace": "team", "uid": f"uid-of-{kind}", "generation": generation}
    return {"kind": kind, "metadata": metadata, "spec": {"replicas": wanted}, "status": status}


def job(**pod_spec: Any) -> Manifest:
    metadata = {"name": "docs-ingest-1", "namespace": "team", "uid": "uid-of-job"}
    spec = {"initContainers": [{"name": "fetch"}], "containers": [{"name": "publish"}], **pod_spec}
    return {"kind": "Job", "metadata": metadata, "spec": {"template": {"spec": spec}}, "status": {}}


def qdrant_pod(*containers: Manifest, **fields: Any) -> Manifest:
    return pod(*containers, name="docs-qdrant-0", **fields)


async def test_a_job_whose_pod_is_refused() -> None:
    world = World()
    world.add_event(job(), "FailedCreate", REFUSED)
    assert await world.diagnosis.of_run(job(), [], 5) is None
    assert world.kube.requests == []
    cause = await world.diagnosis.of_run(job(), [], 11)
    assert cause is not None
    assert cause.message.startswith("The cluster refuses to create pods: exceeded quota: tiny.")
    assert world.kube.requests == ["list Event"]


async def test_a_pod_that_lacks_something_to_mount() -> None:
    world = World()
    found = pod(
        waiting("PodInitializing"), init=(waiting("PodInitializing", name="fetch"),), conditions=(SCHEDULED,)
    )
    world.add_event(found, "FailedMount", MISSING)
    cause = await world.diagnosis.of_run(job(), [found], 11)
    assert cause is not None
    assert "missing-ca" in cause.message
    assert cause.needs_user


async def test_a_source_whose_volume_does_not_come() -> None:
    world = World()
    volumes = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "d", "persistentVolumeClaim": {"claimName": "handbook"}},
    ]
    found = pod(
        conditions=(no_node("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),)
    )
    world.kube.create({**claim(), "metadata": {"name": "handbook", "namespace": "team"}})
    cause = await world.diagnosis.of_run(job(volumes=volumes), [found], 11)
    assert cause is not None
    assert "The volume claim handbook of StorageClass fast has no volume yet." in cause.message


async def test_qdrant_whose_pods_are_refused_in_part() -> None:
    world = World()
    store = maker("StatefulSet", wanted=3)
    world.add_event(store, "FailedCreate", REFUSED)
    cause = await world.diagnosis.of_store(SERVER, store)
    assert cause is not None
    assert cause.refused
    # Once all pods are there, an Event of before is no cause.
    assert await world.diagnosis.of_store(SERVER, maker("StatefulSet", wanted=3, total=3)) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (qdrant_pod(waiting("ImagePullBackOff")), "can't be pulled"),
        (qdrant_pod(crashed(101, "panic: no permission", name="qdrant")), "panic: no permission"),
        (
            qdrant_pod(conditions=(no_node("0/1 nodes are available: 1 Insufficient memory."),)),
            "Insufficient memory",
        ),
        (qdrant_pod(conditions=(no_node("pod has unbound immediate PersistentVolumeClaims"),)), NO_CLASS),
    ],
    ids=["image", "crash", "no-room", "no-class"],
)
async def test_qdrant_whose_pods_do_not_get_ready(found: Manifest, words: str) -> None:
    world = World()
    world.add_pod(found, "qdrant")
    world.add_event(world.kube.create(claim()), "ProvisioningFailed", NO_CLASS)
    cause = await world.diagnosis.of_store(SERVER, maker("StatefulSet"))
    assert cause is not None
    assert words in cause.message
    assert len(world.kube.requests) <= 3


async def test_new_pods_of_an_update_are_asked_and_old_ones_are_not() -> None:
    world = World()
    world.add_pod(pod(waiting("ImagePullBackOff", image="old:1")), "server")
    assert await world.diagnosis.of_server(SERVER, maker("Deployment", generation=2)) is None
    assert await world.diagnosis.of_server(SERVER, maker("Deployment", updated=0)) is None
    world.add_pod(
        pod(waiting("ErrImagePull", image="new:2"), name="docs-7f5-a", created="2026-02-01T00:00:00Z"),
        "server",
    )
    cause = await world.diagnosis.of_server(SERVER, maker("Deployment", wanted=2, total=3))
    assert cause is not None
    assert "new:2 can't be pulled" in cause.message


async def test_what_is_complete_is_not_asked() -> None:
    world = World()
    for kind in ("Deployment", "StatefulSet"):
        found = maker(kind)
        found["status"]["availableReplicas"] = 1
        assert (
            await world.diagnosis.of_server(SERVER, found)
            is await world.diagnosis.of_store(SERVER, found)
            is None
        )
    assert world.kube.requests == []


async def test_events_are_read_once_in_a_while() -> None:
    world = World()
    assert await world.diagnosis.of_run(job(), [], 11) is None
    world.add_event(job(), "FailedCreate", REFUSED)
    assert await world.diagnosis.of_run(job(), [], 12) is None
    world.seconds += NO_EVENTS_SECONDS
    assert await world.diagnosis.of_run(job(), [], 30) is not None
    world.seconds += EVENTS_SECONDS - 1
    assert await world.diagnosis.of_run(job(), [], 80) is not None
    assert world.kube.requests == ["list Event"] * 2
    world.seconds += 1
    await world.diagnosis.of_run(job(), [], 90)
    assert world.kube.requests == ["list Event"] * 3


async def test_what_is_remembered_of_events_is_bounded() -> None:
    world = World()
    for number in range(MOST_REMEMBERED + 5):
        body = job()
        body["metadata"]["uid"] = str(number)
        await world.diagnosis.of_run(body, [], 11)
    assert len(world.diagnosis._told) == MOST_REMEMBERED


@pytest.mark.parametrize(
    "error", [Forbidden("no right"), TooLarge("too large")], ids=["forbidden", "too-large"]
)
async def test_what_may_not_be_read_tells_nothing(error: Exception) -> None:
    world = World()
    world.kube.fail = {"list Event": error, "get PersistentVolumeClaim": error}
    world.add_pod(qdrant_pod(), "qdrant")
    assert await world.diagnosis.of_store(SERVER, maker("StatefulSet")) is None
    assert await world.diagnosis.of_run(job(), [], 11) is None
