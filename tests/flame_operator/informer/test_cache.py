from collections.abc import AsyncIterator
from typing import Any

from flame_operator.informer.cache import REMEMBERED_DELETIONS, Cache
from flame_operator.informer.sweep import sweep
from flame_operator.resource.kinds import SERVER, Key, Kind, Manifest
from tests.support.operator.fake_kube import FakeKube, server

KEY = Key("team", "docs")


def at(version: int, **spec: Any) -> Manifest:  # noqa: ANN401 - JSON
    body = server(**spec)
    body["metadata"]["resourceVersion"] = str(version)
    return body


def test_only_real_changes_count() -> None:
    cache = Cache()
    assert cache.put(at(1))
    assert not cache.put(at(1))
    bookkeeping = at(2)
    bookkeeping["metadata"]["managedFields"] = [{"manager": "x"}]
    assert not cache.put(bookkeeping)
    assert cache.put(at(3, replicas=3))
    assert not cache.put(at(1))
    found = cache.server(KEY)
    assert found is not None
    assert found["spec"] == {"replicas": 3}
    assert found["apiVersion"] == "flamemcp.dev/v1alpha1"
    assert found["metadata"]["resourceVersion"] == "3"


def test_what_comes_after_the_news_of_its_deletion_stays_deleted() -> None:
    cache = Cache()
    cache.put(at(1))
    assert cache.drop(at(5))
    assert not cache.put(at(4))
    assert cache.server(KEY) is None
    assert cache.put(at(6))


def test_an_old_deletion_does_not_hide_a_new_object() -> None:
    cache = Cache()
    cache.put(at(6))
    assert not cache.drop(at(5))
    assert cache.server(KEY) is not None


def test_deletions_are_remembered_for_a_while_only() -> None:
    cache = Cache()
    for number in range(REMEMBERED_DELETIONS + 10):
        body = at(number + 1)
        body["metadata"]["name"] = f"s{number}"
        cache.drop(body)
    assert len(cache._deleted) == REMEMBERED_DELETIONS


async def test_a_sweep_finds_what_the_watch_missed() -> None:
    kube, cache = FakeKube(), Cache()
    for name in ("same", "edited", "deleted"):
        kube.create(server(name))
    assert len((await sweep(kube, cache)).changed) == 3
    assert (await sweep(kube, cache)).changed == set()
    kube.edit("FlameMCPServer", Key("team", "edited"), spec={"replicas": 9})
    kube.remove("FlameMCPServer", Key("team", "deleted"))
    kube.create(server("created"))
    swept = await sweep(kube, cache)
    assert swept.changed == {Key("team", name) for name in ("edited", "deleted", "created")}
    assert {key.name for key in cache.servers()} == {"same", "edited", "created"}


async def test_a_sweep_keeps_what_appeared_while_it_read() -> None:
    kube, cache = FakeKube(), Cache()
    kube.create(server("early"))
    await sweep(kube, cache)

    class Slow(FakeKube):
        async def list(
            self, kind: Kind, *, selector: str = "", namespace: str | None = None, metadata_only: bool = False
        ) -> AsyncIterator[Manifest]:
            async for body in super().list(
                kind, selector=selector, namespace=namespace, metadata_only=metadata_only
            ):
                yield body
            if kind == SERVER:
                late = server("late")
                cache.put({**late, "metadata": {**late["metadata"], "resourceVersion": "9999"}})

    slow = Slow()
    slow.objects = dict(kube.objects)
    assert (await sweep(slow, cache)).changed == set()
    assert {key.name for key in cache.servers()} == {"early", "late"}


async def test_a_sweep_of_some_namespaces_sees_no_others() -> None:
    kube, cache = FakeKube(), Cache()
    for namespace in ("one", "two", "three"):
        kube.create(server(namespace=namespace))
    await sweep(kube, cache, ["one", "three"])
    assert {key.namespace for key in cache.servers()} == {"one", "three"}


def test_an_object_that_was_made_anew_meanwhile_is_not_expired() -> None:
    cache = Cache()
    cache.put(at(1))
    missing = cache.snapshot(SERVER.kind)
    cache.put(at(2, replicas=3))
    assert cache.expire(SERVER.kind, missing) == set()
    assert cache.expire(SERVER.kind, cache.snapshot(SERVER.kind)) == {KEY}
    assert cache.server(KEY) is None
