"""Attack M9: what a tenant, a Job or somebody with `kubectl edit` writes makes a pass fail with a bug."""
# ruff: noqa: ANN401 - JSON

import asyncio
import functools
import json
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flame_operator.api.lists import slim_event
from flame_operator.changes.compare import corrections, grows, is_subset
from flame_operator.desired.run import run_of
from flame_operator.errors import Conflict, Unavailable, UserError
from flame_operator.formats.cron import is_schedule, next_tick, tick_between
from flame_operator.formats.quantity import parse_quantity, same_quantity
from flame_operator.formats.times import seconds_between
from flame_operator.informer.cache import Cache
from flame_operator.ingestion.record import as_status, record_of
from flame_operator.reconcile.queue import MOST_BUGS, WorkQueue
from flame_operator.resource.kinds import JOB, SERVER, STATEFUL_SET, Key, Manifest
from flame_operator.resource.server import parse_server
from flame_operator.workloads.causes import (
    QDRANT_PODS,
    RUN_PODS,
    SERVER_PODS,
    is_pending,
    waits_for_volume,
    why_no_pod,
    why_no_start,
    why_no_volume,
    why_not_ready,
)
from flame_operator.workloads.deployments import (
    is_rolling,
    pod_counts,
    references_digest,
    still_asks_qdrant,
)
from flame_operator.workloads.jobs import activity, ended, finished, progress
from tests.harness.paths import REPO
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.hostile import WORDS, corrupted, messages, values
from tests.support.operator.reconciling import KEY, Operator, conditions, running, with_pods, with_server
from tests.support.operator.tenants import Tenants

CRD = yaml.safe_load((REPO / "crds/flamemcpservers.yaml").read_text())
STATUS = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
STORE = Key(KEY.namespace, "docs-qdrant")
SPECS: list[dict[str, Any]] = [
    {"vectorStore": {"type": "Managed"}},
    {
        "auth": {"type": "Bearer"},
        "autoscaling": {"maxReplicas": 3},
        "ingress": {"host": "docs.example.com", "tlsSecretRef": {"name": "tls"}},
    },
]
FEW = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def valid_status(status: Manifest) -> None:
    """The CRD accepts it: a status that it refuses would never be written."""
    jsonschema.validate(status, STATUS)


@functools.cache
def at_rest(number: int) -> FakeKube:
    """A server with all children, pods and a Job whose pod has ended."""

    async def made() -> FakeKube:
        kube = with_server(**SPECS[number])
        operator = await running(kube)
        with_pods(kube, operator)
        if (STATEFUL_SET.kind, STORE) in kube.objects:
            operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, status={"readyReplicas": 1}))
        await operator.settle()
        return kube

    return asyncio.run(made())


def copied(kube: FakeKube) -> FakeKube:
    found = FakeKube()
    found.objects = {slot: json.loads(json.dumps(body)) for slot, body in kube.objects.items()}
    return found


async def passes(kube: FakeKube) -> None:
    """Whole passes from the start of an operator; none of them may raise what isn't foreseen."""
    operator = Operator(kube)
    await operator.start()
    operator.pipeline.resume(KEY, operator.now)
    for _ in range(3):
        with suppress(UserError, Conflict, Unavailable):
            await operator.reconcile(KEY)
    valid_status(kube.objects[SERVER.kind, KEY]["status"])


@FEW
@given(st.data())
def test_any_child_with_anything_in_it_ends_in_a_status(data: st.DataObject) -> None:
    kube = copied(at_rest(data.draw(st.integers(0, len(SPECS) - 1))))
    slots = sorted(slot for slot in kube.objects if slot[0] != SERVER.kind)
    with_status = [slot for slot in slots if "status" in kube.objects[slot]]
    slot = data.draw(st.sampled_from(with_status) | st.sampled_from(slots))
    kube.objects[slot] = data.draw(corrupted(kube.objects[slot]))
    asyncio.run(passes(kube))


@FEW
@given(messages, st.sampled_from(["Complete", "Failed"]), values)
def test_any_last_message_of_a_run_ends_in_a_status(message: str, kind: str, code: object) -> None:
    async def scenario() -> None:
        town = Tenants()
        (key,) = town.add("team")
        await town.reconcile(key)
        town.end(key, message, kind=kind)
        await town.reconcile(key)
        status = town.kube.objects[SERVER.kind, key]["status"]
        assert status["ingestion"]["phase"] in ("Succeeded", "Failed")
        valid_status(status)
        pod: Any = {"metadata": {"name": "x"}, "status": {"containerStatuses": [
            {"name": code, "state": {"terminated": {"exitCode": code, "message": message, "reason": code}}}
        ]}}  # fmt: skip
        job = {
            "metadata": {"name": "j"},
            "spec": {"template": {"spec": {"containers": [{"name": "publish"}, {"name": code}]}}},
            "status": {"conditions": [{"type": kind, "status": "True"}]},
        }
        pod["status"] = {
            "containerStatuses": [
                {**pod["status"]["containerStatuses"][0], "name": name} for name in (code, "publish")
            ]
        }
        assert len(progress(job, [pod])) <= 1000
        found = ended(job, [pod], progress=message, now=message)
        assert found is not None
        assert len(found.message) <= 1000

    asyncio.run(scenario())


@settings(max_examples=200)
@given(values, values, values)
def test_no_reader_of_live_objects_raises(one: Any, two: Any, three: Any) -> None:
    body = {
        "apiVersion": "v1", "kind": "Deployment",
        "metadata": {
            "name": "docs", "namespace": "team", "uid": "u", "resourceVersion": "1", "generation": two,
            "annotations": one, "labels": two, "ownerReferences": three, "creationTimestamp": one,
            "managedFields": two,
        },
        "spec": one, "status": two,
    }  # fmt: skip
    steps = {"initContainers": [{"name": "fetch"}], "containers": [{"name": "publish"}, {"name": one}]}
    a_job = {"metadata": body["metadata"], "spec": {"template": {"spec": steps}}}
    pod = {**body, "status": {"containerStatuses": one, "initContainerStatuses": [two], "conditions": three}}
    of = parse_server(server())
    deployments = (
        body,
        {
            **body,
            "status": {"conditions": three, "replicas": one},
            "spec": {"template": two, "replicas": three},
        },
    )
    for found in deployments:
        counts = pod_counts(found)
        assert 0 <= counts.wanted < 2**31
        is_rolling(found)
        references_digest(found)
        still_asks_qdrant(of, found, body)
        finished(found)
        run_of(found)
        grows({"spec": {"volumeClaimTemplates": three}}, found)
        is_subset(found, body)
        corrections(found, body)
    for pods in ([pod], [body, pod]):
        for job in (body, {"metadata": body["metadata"], "spec": {"template": one}}, a_job):
            assert len(progress(job, pods)) <= 1000
            activity(job, pods)
            failed = {"conditions": [{"type": "Failed", "status": "True", "message": one}]}
            ended({**job, "status": failed}, pods, now="2026-01-01T00:00:00Z")
            ended({**job, "status": {}}, pods, now="2026-01-01T00:00:00Z")
        for part in (SERVER_PODS, QDRANT_PODS):
            why_not_ready(pods, part)
        any(waits_for_volume(pod) or is_pending(pod) for pod in pods)
    event = slim_event({"reason": "FailedCreate", "message": one, "series": two, "lastTimestamp": three})
    for events in ([event], [{**event, "reason": "FailedMount"}, {**event, "reason": "FailedBinding"}]):
        why_no_pod(events, RUN_PODS)
        why_no_start(events)
        for claim in (body, {"status": {"phase": "Pending"}, "spec": one}):
            why_no_volume("claim", claim, events, RUN_PODS)
    record = record_of({"ingestion": {"phase": one, "attempt": two, "job": three}}, "ingestion")
    as_status(record)
    assert record_of({"ingestion": one}, "ingestion") is not None


@given(st.sampled_from(WORDS) | st.text(max_size=20), st.sampled_from(WORDS) | st.text(max_size=20))
def test_no_reader_of_texts_raises(one: str, two: str) -> None:
    is_schedule(one, two)
    tick_between("@daily", one, two, "2026-01-02T00:00:00Z")
    next_tick("0 3 * * *", one or None, "2026-01-02T00:00:00Z")
    parse_quantity(one)
    same_quantity(one, two)
    seconds_between(one, two)


@pytest.mark.parametrize("zone", ["Europe", "America", "posix", "x" * 64, "A/" * 32])
async def test_a_time_zone_that_is_a_folder_is_a_condition(zone: str) -> None:
    """Row 16: `timeZone: Europe` was an IsADirectoryError, and the status was never written."""
    sources = [{"name": "flame", "bundled": {}}]
    ingestion = {"sources": sources, "schedule": "@daily", "timeZone": zone}
    kube = with_server(vectorStore={"type": "Managed"}, ingestion=ingestion)
    await running(kube)
    assert conditions(kube)["Stalled"] == ("True", "InvalidSpec")
    assert "time zone" in kube.objects[SERVER.kind, KEY]["status"]["conditions"][0]["message"]


async def test_a_jobs_annotation_that_is_no_number_is_the_first_attempt() -> None:
    """Row 16: `int("abc")` of an annotation that everybody who may edit Jobs may write."""
    town = Tenants()
    (key,) = town.add("team")
    await town.reconcile(key)
    job = town.job(key)
    job["metadata"]["annotations"]["flamemcp.dev/attempt"] = "abc"
    job["metadata"]["annotations"]["flamemcp.dev/trigger"] = "\x1b[31m" + "x" * 100_000
    town.kube.edit(SERVER.kind, key, status={})
    town.operator = Operator(town.kube)
    await town.operator.start()
    await town.reconcile(key)
    status = town.kube.objects[SERVER.kind, key]["status"]
    assert (status["ingestion"]["phase"], status["ingestion"]["attempt"]) == ("Running", 1)
    valid_status(status)


async def test_a_stateful_set_without_volume_templates_is_applied_like_any_other() -> None:
    """Row 16: somebody has made a StatefulSet of that name, with the server as its owner."""
    kube = with_server(vectorStore={"type": "Managed"})
    operator = await running(kube)
    spec = {**kube.objects[STATEFUL_SET.kind, STORE]["spec"]}
    del spec["volumeClaimTemplates"]
    operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, spec=spec))
    await operator.settle()
    assert "volumeClaimTemplates" in kube.objects[STATEFUL_SET.kind, STORE]["spec"]


async def test_a_bug_becomes_a_condition_once_and_leaves_with_the_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever nobody has foreseen: the status was never written, and nobody but the log knew."""
    kube = with_server()
    operator = await running(kube)
    with_pods(kube, operator)
    await operator.settle()
    before = kube.objects[SERVER.kind, KEY]["status"]

    async def fail(*_: object) -> None:
        raise RecursionError

    with monkeypatch.context() as broken:
        broken.setattr("flame_operator.changes.children.Children.look", fail)
        queue = WorkQueue(
            operator.reconcile,
            workers=1,
            on_bugs=operator.reconcile.report_bug,
            call_later=lambda *_: Never(),
        )
        kube.writes.clear()
        for _ in range(MOST_BUGS + 5):
            queue._timers.clear()
            queue._stopping = False
            queue.add(KEY)
            queue.stop()
            await queue.run()
    assert kube.writes == ["status"]
    found = kube.objects[SERVER.kind, KEY]["status"]
    valid_status(found)
    assert conditions(kube)["Stalled"] == ("True", "InternalError")
    assert conditions(kube)["Ready"] == ("Unknown", "InternalError")
    assert {name: found[name] for name in ("url", "selector", "replicas")} == {
        name: before[name] for name in ("url", "selector", "replicas")
    }
    assert [event.reason for event in operator.recorder.events] == ["InternalError"]
    await operator.settle()
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")


class Never:
    """A timer that never fires."""

    def cancel(self) -> None:
        pass


async def test_a_new_resource_with_a_bug_has_a_whole_status() -> None:
    kube = with_server()
    operator = Operator(kube)
    await operator.start()
    await operator.reconcile.report_bug(KEY)
    valid_status(kube.objects[SERVER.kind, KEY]["status"])
    assert len(conditions(kube)) == 6
    await operator.reconcile.report_bug(Key("no", "server"))


def test_a_cache_takes_any_job_of_a_server() -> None:
    cache = Cache()
    one = server("docs", "n", uid="uid-1")
    one["metadata"]["resourceVersion"] = "1"
    cache.put(one)
    owner = {"kind": SERVER.kind, "name": "docs", "uid": "uid-1", "controller": True}
    body = {
        "kind": JOB.kind,
        "metadata": {
            "name": "docs-ingest-12345678",
            "namespace": "n",
            "resourceVersion": "2",
            "ownerReferences": [owner],
        },
        "spec": None,
    }
    cache.put(body)
    assert [job["spec"] for job in cache.jobs(Key("n", "docs"))] == [None]
