# ruff: noqa: ANN401 - JSON
"""A managed Qdrant that grows and loses peers: the reconciler over an API server in memory."""

import json
from typing import Any

from flame_operator.resource.kinds import JOB, SERVER, STATEFUL_SET, Key, Manifest
from tests.support.operator.fake_kube import FakeKube
from tests.support.operator.reconciling import KEY, Operator, conditions, running, with_pods, with_server

STORE = Key(KEY.namespace, "docs-qdrant")
PUBLISHED = {"step": "publish", "collection": "flame-docs__1", "documents": 178, "chunks": 890}


def managed(replicas: int, **fields: Any) -> Manifest:
    return {"type": "Managed", "managed": {"replicas": replicas, **fields}}


def status(kube: FakeKube) -> Any:
    return kube.objects[SERVER.kind, KEY]["status"]


def store(kube: FakeKube) -> Any:
    return kube.objects[STATEFUL_SET.kind, STORE]


async def report(
    kube: FakeKube, operator: Operator, pods: int, revisions: tuple[str, str] = ("a", "a")
) -> None:
    """What the controller of StatefulSets would report: so many pods are ready."""
    found = {
        "observedGeneration": store(kube)["metadata"].get("generation", 0),
        **dict.fromkeys(("replicas", "updatedReplicas"), store(kube)["spec"]["replicas"]),
        **dict.fromkeys(("readyReplicas", "availableReplicas"), pods),
        "currentRevision": revisions[0],
        "updateRevision": revisions[1],
    }
    operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, status=found))
    await operator.settle()


async def respec(kube: FakeKube, operator: Operator, **spec: Any) -> None:
    spec = {**kube.objects[SERVER.kind, KEY]["spec"], **spec}
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec=spec))
    await operator.settle()


def active(kube: FakeKube) -> list[Manifest]:
    found = [body for (kind, _), body in kube.objects.items() if kind == JOB.kind]
    return [job for job in found if not (job.get("status") or {}).get("conditions")]


async def end(kube: FakeKube, operator: Operator, result: Manifest) -> str:
    """The only Job that runs ends with this result; returns the name of its last container."""
    (job,) = active(kube)
    name, container = job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"][-1]["name"]
    ended = {"name": container, "state": {"terminated": {"exitCode": 0, "message": json.dumps(result)}}}
    metadata = {
        "namespace": KEY.namespace,
        "name": f"{name}-x",
        "labels": {"batch.kubernetes.io/job-name": name},
    }
    kube.objects["Pod", Key(KEY.namespace, f"{name}-x")] = {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": container}]},
        "status": {"containerStatuses": [ended]},
    }
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    operator.cache.put(kube.edit(JOB.kind, Key(KEY.namespace, name), status=done))
    await operator.settle()
    return str(container)


def created(replicas: int, **fields: Any) -> FakeKube:
    kube = with_server(vectorStore=managed(replicas, **fields))
    metadata = {**kube.objects[SERVER.kind, KEY]["metadata"], "creationTimestamp": "2026-01-01T00:00:00Z"}
    kube.edit(SERVER.kind, KEY, metadata=metadata)
    return kube


async def loaded(replicas: int, **fields: Any) -> tuple[FakeKube, Operator]:
    """A server whose docs are in Qdrant, with as many copies as it has peers."""
    kube = created(replicas, **fields)
    operator = await running(kube)
    with_pods(kube, operator)
    await report(kube, operator, replicas)
    assert await end(kube, operator, {**PUBLISHED, "peers": replicas, "copies": replicas}) == "publish"
    return kube, operator


async def test_from_one_to_three_to_five() -> None:
    kube, operator = await loaded(1)
    assert "vectorStore" not in status(kube)
    for before, replicas in ((1, 3), (3, 5)):
        template = store(kube)["spec"]["template"]
        await respec(kube, operator, vectorStore=managed(replicas))
        # The pods that serve stay as they are.
        assert store(kube)["spec"] == {**store(kube)["spec"], "replicas": replicas, "template": template}
        assert not active(kube)
        assert conditions(kube)["Reconciling"] == ("True", "RolloutInProgress")
        said = {one["type"]: one["message"] for one in status(kube)["conditions"]}
        assert said["Reconciling"] == f"{before} of {replicas} Qdrant pods are ready."
        await report(kube, operator, replicas - 1)
        assert not active(kube)
        await report(kube, operator, replicas)
        assert await end(kube, operator, {**PUBLISHED, "peers": replicas, "copies": replicas}) == "publish"
        found = status(kube)["vectorStore"]
        assert (found["peers"], found["copies"], found["phase"]) == (replicas, replicas, "Succeeded")
        assert conditions(kube)["Reconciling"] == ("False", "UpToDate")
        assert not active(kube)


async def test_one_without_cluster_mode_is_restarted_before_others_join() -> None:
    kube, operator = await loaded(1)
    earlier = json.loads(json.dumps(store(kube)["spec"]))
    container = earlier["template"]["spec"]["containers"][0]
    container["env"] = [one for one in container["env"] if "CLUSTER" not in one["name"]]
    metadata = {**store(kube)["metadata"], "annotations": {}}
    operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, spec=earlier, metadata=metadata))
    await respec(kube, operator, vectorStore=managed(3))
    assert store(kube)["spec"]["replicas"] == 1
    # The new template is there, and the old pod still runs.
    await report(kube, operator, 1, revisions=("a", "b"))
    assert store(kube)["spec"]["replicas"] == 1
    await report(kube, operator, 1, revisions=("b", "b"))
    assert store(kube)["spec"]["replicas"] == 3


async def test_peers_that_wait_for_one_without_cluster_mode_are_taken_away_first() -> None:
    """An earlier operator has added them, and two of three have never been ready."""
    kube, operator = await loaded(1)
    await respec(kube, operator, vectorStore=managed(3))
    assert store(kube)["spec"]["replicas"] == 3
    await report(kube, operator, 1, revisions=("a", "b"))
    assert store(kube)["spec"]["replicas"] == 1
    await report(kube, operator, 1, revisions=("b", "b"))
    assert store(kube)["spec"]["replicas"] == 3


async def test_a_cluster_keeps_its_pods_whatever_happens_to_an_update() -> None:
    kube, operator = await loaded(3)
    await report(kube, operator, 1, revisions=("a", "b"))
    assert store(kube)["spec"]["replicas"] == 3


async def test_a_peer_that_was_away_gets_its_copies_back_and_snapshots_wait() -> None:
    kube, operator = await loaded(3, snapshots={"schedule": "@hourly"})
    await report(kube, operator, 2)
    operator.now = "2026-01-01T02:00:30Z"
    await operator.settle()
    assert not active(kube)
    found = status(kube)["vectorStore"]
    assert (found["copies"], found["progress"]) == (3, "2 of 3 Qdrant pods are ready.")
    assert "phase" not in found
    await report(kube, operator, 3)
    said = {one["type"]: one["message"] for one in status(kube)["conditions"]}
    assert (
        said["Reconciling"]
        == "The copies on Qdrant's peers are being counted, and made where they are missing."
    )
    (job,) = active(kube)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == [
        "index", "replicate", "--collection", "flame-docs", "--replicas", "3",
    ]  # fmt: skip
    assert await end(kube, operator, {"step": "replicate", "peers": 3, "copies": 3}) == "replicate"
    found = status(kube)["vectorStore"]
    assert (found["phase"], found["message"]) == ("Succeeded", "3 copies on 3 peers.")
    assert "progress" not in found
    assert await end(kube, operator, {"step": "snapshot"}) == "snapshot"
    assert not active(kube)


async def test_a_snapshot_waits_for_qdrant_and_for_an_index() -> None:
    kube = created(1, snapshots={"schedule": "@hourly"})
    operator = await running(kube)
    operator.now = "2026-01-01T02:00:30Z"
    await operator.settle()
    assert not active(kube)
    await report(kube, operator, 1)
    assert await end(kube, operator, PUBLISHED) == "publish"
    assert await end(kube, operator, {"step": "snapshot"}) == "snapshot"


async def test_a_restart_of_the_operator_starts_nothing() -> None:
    kube, _ = await loaded(3)
    before = len(kube.writes)
    await running(kube)
    assert len(kube.writes) == before
