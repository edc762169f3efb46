"""Attacks on the operator's memory by objects that anybody may label like its children (H2)."""

import asyncio
import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flame_operator.changes.children import Children
from flame_operator.informer.cache import LARGEST, MOST_JOBS, Cache
from flame_operator.informer.child_watch import ChildWatch
from flame_operator.informer.informer import Informer
from flame_operator.informer.sweep import sweep
from flame_operator.informer.watch_health import WatchHealth
from flame_operator.resource.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    INSTANCE,
    JOB,
    MANAGER,
    SERVER,
    SERVICE,
    Key,
    Kind,
    Manifest,
)
from flame_operator.resource.server import parse_server
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.labelled_objects import Large, LargeApi, serving

MIB = 1024 * 1024
MEGABYTE = '"data":{"x":"' + "x" * 1_000_000 + '"}'
ANNOTATION = '"annotations":{"x":"' + "x" * 200_000 + '"}'
# The most memory for the fewest bytes: thousands of empty objects, as the API server itself may note them.
FIELDS = '"managedFields":[{"fieldsV1":{' + ",".join(f'"f:{n}":{{}}' for n in range(50_000)) + "}}]"
KEY = Key("team", "docs")


def metadata(name: str, version: int = 1, *, owner: str = "", **more: Any) -> Manifest:  # noqa: ANN401 - JSON
    labels = {"app.kubernetes.io/managed-by": MANAGER, INSTANCE: "docs"}
    found = {"name": name, "namespace": "team", "uid": f"uid-of-{name}", "resourceVersion": str(version)}
    reference = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "name": "docs", "uid": owner}
    owners = {"ownerReferences": [{**reference, "controller": True}]} if owner else {}
    return {"metadata": {**found, "labels": labels, **owners, **more}}


def honest(version: int = 1) -> Large:
    body = server()
    body["metadata"]["resourceVersion"] = str(version)
    return Large(SERVER, body)


def many(kind: Kind, number: int, large_metadata: str = "", content: str = "") -> list[Large]:
    return [Large(kind, metadata(f"junk-{one}", one + 1), large_metadata, content) for one in range(number)]


@pytest.fixture
def peak() -> Iterator[Callable[[], float]]:
    """The most memory that was in use since the start, in MiB more than then."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: (tracemalloc.get_traced_memory()[1] - before) / MIB
    tracemalloc.stop()


ATTACKS = {
    "120 ConfigMaps of 1 MB": many(CONFIG_MAP, 120, content=MEGABYTE),
    "120 ConfigMaps with 200 kB of annotations": many(CONFIG_MAP, 120, ANNOTATION),
    "10 ConfigMaps with 50,000 managed fields": many(CONFIG_MAP, 10, FIELDS),
    "120 Deployments of 1 MB": many(DEPLOYMENT, 120, content=MEGABYTE.replace("data", "spec")),
    "20 Services with 200 kB of annotations": many(SERVICE, 20, ANNOTATION),
    "20 Deployments with 200 kB of annotations": many(DEPLOYMENT, 20, ANNOTATION),
}


@pytest.mark.parametrize("objects", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_sweep_past_large_foreign_objects(objects: list[Large], peak: Callable[[], float]) -> None:
    """Attack 3 (H2): anybody labels large objects; 120 ConfigMaps of 1 MB took 408 MiB in one sweep."""
    cache = Cache()
    async with serving(LargeApi([honest(), *objects])) as (kube, _):
        await sweep(kube, cache)
    assert len(cache) == 1
    assert peak() < 24


async def watched(api: LargeApi, seconds: float = 30) -> tuple[Cache, list[Key]]:
    """What the cache has, and which servers were reported, after a watch has told all events."""
    cache, changed = Cache(), list[Key]()
    async with serving(api) as (kube, lists):
        health = WatchHealth(namespaced=False, grace=90)
        informer = Informer(kube, cache, changed.append, health, 600)
        informer.seen(honest().body, deleted=False)
        changed.clear()
        watching = asyncio.create_task(ChildWatch(api=lists, informer=informer).run())
        newest = max(int(one.body["metadata"]["resourceVersion"]) for _, one in api.events)
        kind = api.events[-1][1].kind.kind
        async with asyncio.timeout(seconds):
            await api.told.wait()
            while health.overdue({(kind, ""): newest}, float("inf")) is not None:  # noqa: ASYNC110 - polls
                await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return cache, changed


def updates(
    kind: Kind, objects: int, times: int, large_metadata: str, content: str
) -> list[tuple[str, Large]]:
    return [
        (
            "MODIFIED",
            Large(kind, metadata(f"junk-{number}", 10 + turn * objects + number), large_metadata, content),
        )
        for turn in range(times)
        for number in range(objects)
    ]


FLOODS = {
    "8 ConfigMaps of 1 MB, 20 updates each": updates(CONFIG_MAP, 8, 20, "", MEGABYTE),
    "8 ConfigMaps with 200 kB of annotations, 20 updates each": updates(CONFIG_MAP, 8, 20, ANNOTATION, ""),
    "8 ConfigMaps with 50,000 managed fields, 5 updates each": updates(CONFIG_MAP, 8, 5, FIELDS, ""),
    "20 Services with 200 kB of annotations, 5 updates each": updates(SERVICE, 20, 5, ANNOTATION, ""),
    "20 Deployments of 1 MB, 5 updates each": updates(DEPLOYMENT, 20, 5, "", MEGABYTE),
}


@pytest.mark.parametrize("events", FLOODS.values(), ids=FLOODS.keys())
async def test_a_watch_past_large_foreign_objects(
    events: list[tuple[str, Large]], peak: Callable[[], float]
) -> None:
    """Attack 3 (H2): 8 labelled ConfigMaps, updated 20 times each, took 39 MiB and 60 ms each."""
    api = LargeApi([honest()], events)
    cache, changed = await watched(api)
    assert (len(cache), changed) == (1, [])
    assert not [request for request in api.requests if request.startswith("get ")]
    assert peak() < 8


async def test_events_of_a_known_child_that_is_too_large() -> None:
    """Kind of H2: the owner of a server makes its Deployment too large: it is noted, and read by its name."""
    api = LargeApi(
        [honest()], [("MODIFIED", Large(DEPLOYMENT, metadata("docs", 50, owner="uid-1"), "", MEGABYTE))]
    )
    cache, changed = await watched(api)
    assert changed == [KEY]
    assert cache.unread(KEY) == [(DEPLOYMENT.kind, KEY)]


@pytest.mark.parametrize("content", [MEGABYTE, MEGABYTE.replace("x" * 1_000_000, "\\u0001" * 1_000_000)])
async def test_a_known_child_that_is_too_large(content: str) -> None:
    """Kind of H2: the owner of a server puts 1 MB (or 6 MB, escaped) into its ConfigMap."""
    cache = Cache()
    api = LargeApi([honest(), Large(CONFIG_MAP, metadata("docs", 5, owner="uid-1"), "", content)])
    async with serving(api) as (kube, _):
        await sweep(kube, cache)
        assert cache.unread(KEY)
        await Children(kube, cache).look(parse_server(honest().body))
    assert not cache.unread(KEY)
    assert kept(cache) < 4096


def kept(cache: Cache) -> int:
    """How many bytes the cache has of all objects."""
    return sum(len(text) for _, text in cache._objects.values())


def test_what_is_kept_of_a_child_is_bounded() -> None:
    """Kind of H2: 100 kB that can't be compressed, in each child of a server of one's own."""
    cache, noise = Cache(), random.Random(1).randbytes(100_000).hex()  # noqa: S311 - no secret
    cache.put(honest().body)
    for number, kind in enumerate((CONFIG_MAP, SERVICE, DEPLOYMENT)):
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            **metadata("docs", number + 5, owner="uid-1"),
        }
        cache.put({**body, "data": {"x": noise}})
        assert cache.child(kind.kind, KEY) is not None
    assert kept(cache) < LARGEST


def test_jobs_that_claim_a_server_are_bounded() -> None:
    """Kind of H2: 2,000 Jobs whose owner reference names somebody's server."""
    cache = Cache()
    cache.put(honest().body)
    for number in range(2000):
        job = {"apiVersion": JOB.api_version, "kind": JOB.kind}
        cache.put({**job, **metadata(f"docs-ingest-{number:08x}", number + 5, owner="uid-1"), "spec": {}})
        cache.put({**job, **metadata(f"docs-ingest-other-{number:08x}", number + 5, owner="uid-1")})
    assert len(cache) == 1 + MOST_JOBS
    assert cache.jobs(KEY)[-1]["metadata"]["name"] == f"docs-ingest-{1999:08x}"


def test_deletions_of_foreign_objects_displace_nothing() -> None:
    """Kind of H2: 10,000 labelled objects are made and deleted, so that a real deletion is forgotten."""
    cache = Cache()
    cache.put(honest().body)
    child = {"apiVersion": "v1", "kind": CONFIG_MAP.kind, **metadata("docs", 5, owner="uid-1")}
    cache.drop({**child, "metadata": {**child["metadata"], "resourceVersion": "6"}})
    for number in range(10_000):
        cache.drop({"apiVersion": "v1", "kind": CONFIG_MAP.kind, **metadata(f"junk-{number}", number + 10)})
    assert not cache.put(child)


def test_servers_that_come_and_go_leave_nothing() -> None:
    """Kind of H2: a thousand servers are made and deleted, and their children orphaned."""
    cache = Cache()
    for number in range(0, 3000, 3):
        body = honest(number + 1).body
        cache.put(body)
        cache.put(
            {"apiVersion": "v1", "kind": CONFIG_MAP.kind, **metadata("docs", number + 2, owner="uid-1")}
        )
        cache.drop({**body, "metadata": {**body["metadata"], "resourceVersion": str(number + 3)}})
    assert (len(cache), kept(cache)) == (0, 0)


async def test_a_large_annotation_of_a_server_is_not_kept() -> None:
    """Kind of H2: 200 kB of annotations and labels on one's own resource."""
    kube, cache = FakeKube(), Cache()
    body = server()
    body["metadata"]["annotations"] = json.loads("{" + ANNOTATION + "}")["annotations"]
    kube.create(body)
    await sweep(kube, cache)
    assert kept(cache) < 1024
