"""IngestionState docs, from the resource to its status: the reconciler over an API server in memory."""
# ruff: noqa: ANN401 - JSON

import copy
import json
from typing import Any

import pytest

from flame_operator.errors import Refused
from flame_operator.resource.annotations import REINDEX
from flame_operator.resource.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    NETWORK_POLICY,
    SECRET,
    SERVER,
    SERVICE,
    STATEFUL_SET,
    Key,
    Manifest,
)
from tests.support.operator.fake_kube import Crash, FakeKube
from tests.support.operator.reconciling import KEY, Operator, conditions, running, with_pods, with_server

MANAGED = {"type": "Managed"}
STORE = Key(KEY.namespace, "docs-qdrant")
PUBLISHED = {
    "step": "publish", "collection": "flame-docs__latest__1", "documents": 178, "chunks": 890, "skipped": 0,
    "sourceRevision": "7fd33de", "embedding": "MiniLM",
}  # fmt: skip


def jobs(kube: FakeKube) -> list[Manifest]:
    return [body for (kind, _), body in kube.objects.items() if kind == JOB.kind]


def status(kube: FakeKube) -> Any:
    return kube.objects[SERVER.kind, KEY]["status"]


def store_is_ready(kube: FakeKube, operator: Operator) -> None:
    generation = kube.objects[STATEFUL_SET.kind, STORE]["metadata"].get("generation", 0)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    found = {"observedGeneration": generation, **counts}
    operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, status=found))


def end(kube: FakeKube, operator: Operator, result: Manifest, *, kind: str = "Complete") -> None:
    """The Job ends, as Kubernetes would tell, and its pod says why."""
    job, code = jobs(kube)[-1], int("error" in result)
    name = job["metadata"]["name"]
    kube.objects["Pod", Key(KEY.namespace, f"{name}-x")] = {
        "kind": "Pod",
        "metadata": {
            "namespace": KEY.namespace,
            "name": f"{name}-x",
            "labels": {"batch.kubernetes.io/job-name": name},
        },
        "spec": {"containers": [{"name": "publish"}]},
        "status": {
            "containerStatuses": [
                {
                    "name": "publish",
                    "state": {"terminated": {"exitCode": code, "message": json.dumps(result)}},
                }
            ]
        },
    }
    done = {"conditions": [{"type": kind, "status": "True"}]}
    operator.cache.put(kube.edit(JOB.kind, Key(KEY.namespace, name), status=done))


def error(kind: str, message: str) -> Manifest:
    return {"error": {"kind": kind, "step": "publish", "message": message}}


async def loaded(**spec: Any) -> tuple[FakeKube, Operator]:
    """A server whose docs have been loaded."""
    kube = with_server(**{"vectorStore": MANAGED, **spec})
    operator = await running(kube)
    store_is_ready(kube, operator)
    await operator.settle()
    end(kube, operator, PUBLISHED)
    await operator.settle()
    return kube, operator


async def test_with_qdrant_from_the_resource_to_the_loaded_index() -> None:
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)
    keys = kube.objects[SECRET.kind, STORE]["data"]
    assert len(set(keys.values())) == 2
    assert not jobs(kube)
    assert conditions(kube)["IndexReady"] == ("False", "Ingesting")
    assert conditions(kube)["Ready"] == ("False", "Ingesting")
    assert status(kube)["ingestion"] == {"progress": "Qdrant isn't ready yet."}
    store_is_ready(kube, operator)
    assert await operator.settle() == 10
    (job,) = jobs(kube)
    assert status(kube)["ingestion"]["job"] == job["metadata"]["name"]
    end(kube, operator, PUBLISHED)
    await operator.settle()
    assert status(kube)["ingestion"]["phase"] == "Succeeded"
    assert status(kube)["index"] == {
        "collection": "flame-docs__latest__1", "documents": 178, "chunks": 890, "sourceRevision": "7fd33de",
        "embedding": "MiniLM", "lastSuccessfulTime": operator.now,
    }  # fmt: skip
    assert "IndexPublished" in [event.reason for event in operator.recorder.events]
    assert len(jobs(kube)) == 1
    assert kube.objects[SECRET.kind, STORE]["data"] == keys


async def test_a_restart_writes_nothing_and_keeps_the_keys() -> None:
    kube, _ = await loaded()
    keys, before = kube.objects[SECRET.kind, STORE]["data"], len(kube.writes)
    await running(kube)
    assert kube.objects[SECRET.kind, STORE]["data"] == keys
    assert len(kube.writes) == before


async def test_a_changed_config_map_is_loaded_by_itself() -> None:
    kube = with_server(
        vectorStore=MANAGED, ingestion={"sources": [{"name": "docs", "configMapRef": {"name": "pages"}}]}
    )
    pages: Manifest = {
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": "pages", "namespace": "team"},
        "data": {"a.md": "# A"},
    }
    kube.create(pages)
    operator = await running(kube)
    store_is_ready(kube, operator)
    await operator.settle()
    end(kube, operator, PUBLISHED)
    await operator.settle()
    assert status(kube)["ingestion"]["trigger"] == "spec"
    # Somebody labels it, which changes nothing in it; then it gets another page.
    kube.edit(CONFIG_MAP.kind, Key("team", "pages"), metadata={**pages["metadata"], "labels": {"a": "b"}})
    operator = await running(kube)
    assert len(jobs(kube)) == 1
    kube.edit(CONFIG_MAP.kind, Key("team", "pages"), data={"a.md": "# A", "b.md": "# B"})
    operator = await running(kube)
    assert len(jobs(kube)) == 2
    assert status(kube)["ingestion"]["trigger"].startswith("sources/")
    assert conditions(kube)["IndexReady"][1] != "Ingesting"
    end(kube, operator, PUBLISHED)
    await operator.settle()
    await running(kube)
    assert len(jobs(kube)) == 2


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_at_any_write_ends_in_one_job_and_the_same_keys(when: str) -> None:
    """Whatever was written before the end, the next process goes on from there."""
    whole, _ = await loaded()
    steps = len(whole.writes)
    for step in range(steps + 1):
        kube = with_server(vectorStore=MANAGED)
        kube.crash_at = (step, when)
        try:
            operator = await running(kube)
            store_is_ready(kube, operator)
            await operator.settle()
            end(kube, operator, PUBLISHED)
            await operator.settle()
        except Crash:
            pass
        kube.crash_at = None
        keys = copy.deepcopy(kube.objects.get((SECRET.kind, STORE), {}).get("data"))
        operator = await running(kube)
        store_is_ready(kube, operator)
        await operator.settle()
        if not any((job.get("status") or {}).get("conditions") for job in jobs(kube)):
            end(kube, operator, PUBLISHED)
        await operator.settle()
        assert status(kube)["ingestion"]["phase"] == "Succeeded", step
        assert len(jobs(kube)) == 1, step
        assert keys in (None, kube.objects[SECRET.kind, STORE]["data"]), step


async def test_progress_is_written_once_a_step() -> None:
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)
    store_is_ready(kube, operator)
    await operator.settle()
    assert status(kube)["ingestion"]["progress"] == "Its pod is being created."
    before = len(kube.writes)
    await operator.reconcile(KEY)
    await operator.reconcile(KEY)
    assert len(kube.writes) == before


async def test_what_is_held_back_says_why_and_the_index_before_is_served() -> None:
    kube, operator = await loaded()
    operator.cache.put(
        kube.edit(
            SERVER.kind,
            KEY,
            metadata={**kube.objects[SERVER.kind, KEY]["metadata"], "annotations": {REINDEX: "1"}},
        )
    )
    await operator.settle()
    end(kube, operator, error("held", "It has 3 chunks, less than 90 % of 890."), kind="Failed")
    assert await operator.settle() is None
    assert conditions(kube)["IndexReady"] == ("False", "IndexHeldBack")
    message = next(one["message"] for one in status(kube)["conditions"] if one["type"] == "IndexReady")
    assert "3 chunks" in message
    assert "previous index is served" in message
    assert status(kube)["index"]["chunks"] == 890
    assert [event.reason for event in operator.recorder.events].count("IndexHeldBack") == 1


async def test_a_users_error_stalls_until_something_changes() -> None:
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)
    store_is_ready(kube, operator)
    await operator.settle()
    end(kube, operator, error("user", "There is no branch nightly."), kind="Failed")
    assert await operator.settle() is None
    assert conditions(kube)["Stalled"] == ("True", "IngestionFailed")
    assert conditions(kube)["Ready"] == ("False", "IngestionFailed")
    assert len(jobs(kube)) == 1


async def test_the_worlds_error_is_tried_again() -> None:
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)
    store_is_ready(kube, operator)
    await operator.settle()
    end(kube, operator, error("world", "Qdrant cannot be reached."), kind="Failed")
    assert await operator.settle() == 60
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")
    operator.now = "2026-01-01T00:01:00Z"
    await operator.settle()
    assert len(jobs(kube)) == 2
    # Nothing flaps: the failure is told until it has gone right.
    assert conditions(kube)["IndexReady"] == ("False", "IngestionFailed")
    end(kube, operator, PUBLISHED)
    await operator.settle()
    assert status(kube)["ingestion"].get("failure") is None


async def test_a_missing_source_keeps_a_run_from_starting() -> None:
    kube = with_server(
        vectorStore=MANAGED, ingestion={"sources": [{"name": "notes", "configMapRef": {"name": "notes"}}]}
    )
    operator = await running(kube)
    store_is_ready(kube, operator)
    await operator.settle()
    assert not jobs(kube)
    assert "ConfigMap team/notes doesn't exist" in status(kube)["ingestion"]["progress"]


async def test_a_job_that_is_refused_is_said() -> None:
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)
    store_is_ready(kube, operator)
    kube.fail["apply Job"] = Refused("exceeded quota: jobs")
    with pytest.raises(Refused):
        await operator.reconcile(KEY)
    assert conditions(kube)["Stalled"] == ("True", "ApplyRefused")


async def test_what_is_remembered_survives_a_refusal_and_an_unreadable_spec() -> None:
    kube, operator = await loaded()
    memory = status(kube)["ingestion"]
    kube.fail["apply Deployment"] = Refused("no")
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={"vectorStore": MANAGED, "replicas": 3}))
    with pytest.raises(Refused):
        await operator.reconcile(KEY)
    assert status(kube)["ingestion"] == memory
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={"vectorStore": MANAGED, "replicas": "many"}))
    await operator.reconcile(KEY)
    assert conditions(kube)["Stalled"] == ("True", "InvalidSpec")
    assert status(kube)["ingestion"] == memory


async def test_another_store_leaves_nothing_of_the_own_one() -> None:
    kube, operator = await loaded()
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={}))
    await operator.settle()

    # Until the last pod of the former spec is gone, it is there, and pods may ask it.
    pod = kube.objects[DEPLOYMENT.kind, KEY]["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    for kind in (STATEFUL_SET, SERVICE, SECRET):
        assert (kind.kind, STORE) in kube.objects
    assert "flame-mcp-qdrant" in str(kube.objects[NETWORK_POLICY.kind, KEY]["spec"]["egress"])

    with_pods(kube, operator)
    await operator.settle()
    names = {key.name for kind, key in kube.objects if kind not in (SERVER.kind, "Pod")}
    assert names == {KEY.name}
    assert "flame-mcp-qdrant" not in str(kube.objects[NETWORK_POLICY.kind, KEY]["spec"]["egress"])
    assert "ingestion" not in status(kube)


async def test_volumes_grow_before_the_stateful_set_is_replaced() -> None:
    kube, operator = await loaded()
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "storage-docs-qdrant-0", "namespace": KEY.namespace},
        "spec": {"resources": {"requests": {"storage": "10Gi"}}},
    }  # fmt: skip
    kube.create(claim)
    larger = {"vectorStore": {"type": "Managed", "managed": {"storage": {"size": "20Gi"}}}}
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec=larger))
    before = len(kube.writes)
    await operator.settle()
    found = kube.objects["PersistentVolumeClaim", Key(KEY.namespace, "storage-docs-qdrant-0")]
    assert found["spec"]["resources"]["requests"]["storage"] == "20Gi"
    template = kube.objects[STATEFUL_SET.kind, STORE]["spec"]["volumeClaimTemplates"][0]
    assert template["spec"]["resources"]["requests"]["storage"] == "20Gi"
    writes = kube.writes[before:]
    assert writes.index("correct PersistentVolumeClaim") < writes.index("delete StatefulSet")


async def test_a_server_named_like_anothers_qdrant_is_left_alone() -> None:
    kube, operator = await loaded()
    other = Key(KEY.namespace, "docs-qdrant")
    body = {**kube.objects[SERVER.kind, KEY], "spec": {}}
    kube.create({**body, "metadata": {"name": other.name, "namespace": other.namespace}, "status": {}})
    operator.cache.put(kube.objects[SERVER.kind, other])
    await operator.reconcile(other)
    assert conditions(kube, other)["Stalled"] == ("True", "NameTaken")
    before = len(kube.writes)
    await operator.settle()
    assert len(kube.writes) == before
