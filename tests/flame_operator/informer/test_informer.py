"""What lists and events do to the cache, the queue and the metrics."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from flame_operator.errors import Blind, Refused, UserError
from flame_operator.informer.cache import Cache
from flame_operator.informer.informer import Informer
from flame_operator.informer.watch_health import WatchHealth
from flame_operator.resource.kinds import SERVER, Key, Kind, Manifest
from flame_operator.telemetry.metrics import Metrics
from tests.support.operator.fake_kube import FakeKube, server

KEY = Key("team", "docs")


def with_ready(body: Manifest, status: str) -> Manifest:
    return {**body, "status": {"conditions": [{"type": "Ready", "status": status}]}}


class Refusing(FakeKube):
    """Refuses as many lists as it is told."""

    refusals = 0

    async def list(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None, metadata_only: bool = False
    ) -> AsyncIterator[Manifest]:
        if self.refusals:
            self.refusals -= 1
            raise Refused("forbidden")
        async for body in super().list(
            kind, selector=selector, namespace=namespace, metadata_only=metadata_only
        ):
            yield body


class Scene:
    def __init__(
        self, *, grace: float = 90, resync_seconds: float = 0.001, settle_seconds: float = 0.001
    ) -> None:
        self.kube = Refusing()
        self.changed: list[Key] = []
        self.news = asyncio.Event()
        self.metrics = Metrics()
        self.cache = Cache()
        watch_health = WatchHealth(namespaced=False, grace=grace, metrics=self.metrics)
        self.informer = Informer(
            self.kube,
            self.cache,
            self.note,
            watch_health,
            resync_seconds,
            settle_seconds,
            metrics=self.metrics,
        )

    def note(self, key: Key) -> None:
        self.changed.append(key)
        self.news.set()

    def ready(self) -> dict[str, float | None]:
        return {
            truth: self.metrics.registry.get_sample_value("flame_operator_resources", {"ready": truth})
            for truth in ("True", "False", "Unknown")
        }


async def test_what_there_is_at_the_start_is_all_looked_at() -> None:
    scene = Scene()
    scene.kube.create(with_ready(server(), "True"))
    scene.kube.create(server("new"))
    await scene.informer.prime()
    assert sorted(scene.changed) == [KEY, Key("team", "new")]
    assert scene.ready() == {"True": 1, "False": 0, "Unknown": 1}


async def test_missing_rights_are_explained() -> None:
    scene = Scene()
    scene.kube.refusals = 1
    with pytest.raises(UserError, match="can't list the objects that it manages: forbidden"):
        await scene.informer.prime()


async def test_events_change_the_cache_and_only_news_are_looked_at() -> None:
    scene = Scene()
    body = scene.kube.create(with_ready(server(), "False"))
    scene.informer.seen(body, deleted=False)
    scene.informer.seen(body, deleted=False)
    assert scene.changed == [KEY]
    assert scene.ready() == {"True": 0, "False": 1, "Unknown": 0}
    # The answer to our own write told the cache before the event comes.
    written = scene.kube.edit(SERVER.kind, KEY, **with_ready({}, "True"))
    scene.cache.put(written)
    scene.informer.seen(written, deleted=False)
    assert scene.changed == [KEY]
    assert scene.ready() == {"True": 1, "False": 0, "Unknown": 0}
    scene.informer.seen(scene.kube.remove(SERVER.kind, KEY), deleted=True)
    assert scene.changed == [KEY, KEY]
    assert scene.cache.server(KEY) is None
    assert scene.ready() == {"True": 0, "False": 0, "Unknown": 0}
    events = scene.metrics.registry.get_sample_value(
        "flame_operator_last_event_timestamp_seconds", {"kind": "FlameMCPServer"}
    )
    assert events is not None


async def test_sweeps_find_what_the_watch_missed() -> None:
    scene = Scene()
    sweeping = asyncio.create_task(scene.informer.sweep_forever())
    scene.kube.create(server())
    await asyncio.wait_for(scene.news.wait(), 5)
    sweeping.cancel()
    assert scene.changed == [KEY]
    assert scene.metrics.registry.get_sample_value("flame_operator_sweep_missed_total") == 1


async def test_what_goes_between_the_first_lists_and_the_watch_is_found_soon() -> None:
    scene = Scene(resync_seconds=3600)
    body = scene.kube.create(server())
    gone = scene.kube.create(server("gone"))
    await scene.informer.prime()
    # The watch opens after this: it tells of what is there then, and of nothing that went before.
    scene.kube.remove(SERVER.kind, Key("team", "gone"))
    scene.informer.seen(body, deleted=False)
    scene.informer.watch_health.delivered(gone)
    scene.news.clear()
    sweeping = asyncio.create_task(scene.informer.sweep_forever())
    await asyncio.wait_for(scene.news.wait(), 5)
    sweeping.cancel()
    assert scene.changed[-1] == Key("team", "gone")
    assert scene.cache.server(Key("team", "gone")) is None


async def test_a_sweep_that_fails_is_tried_again() -> None:
    scene = Scene()
    scene.kube.refusals = 2
    scene.kube.create(server())
    sweeping = asyncio.create_task(scene.informer.sweep_forever())
    await asyncio.wait_for(scene.news.wait(), 5)
    sweeping.cancel()
    counted = scene.metrics.registry.get_sample_value("flame_operator_sweeps_total", {"result": "failed"})
    assert counted == 2


async def test_a_watch_that_never_delivers_ends_the_process() -> None:
    scene = Scene(grace=0.01)
    scene.kube.create(server())
    await scene.informer.prime()
    async with asyncio.timeout(5):
        with pytest.raises(Blind):
            await scene.informer.sweep_forever()


async def test_a_watch_that_delivers_keeps_it_alive() -> None:
    scene = Scene(grace=0.01)
    body = scene.kube.create(server())
    await scene.informer.prime()
    scene.informer.seen(body, deleted=False)
    sweeping = asyncio.create_task(scene.informer.sweep_forever())
    for name in ("one", "two", "three"):
        scene.news.clear()
        new = scene.kube.create(server(name))
        await asyncio.wait_for(scene.news.wait(), 5)
        scene.informer.seen(new, deleted=False)
    assert not sweeping.done()
    sweeping.cancel()


def blue(body: Manifest) -> bool:
    return bool(body["spec"].get("blue"))


async def test_servers_of_another_installation_count_as_absent() -> None:
    scene = Scene()
    scene.informer.covers = blue
    scene.kube.create(server("ours", blue=True))
    scene.kube.create(with_ready(server("theirs"), "True"))
    await scene.informer.prime()
    assert [key.name for key in scene.cache.servers()] == ["ours"]
    assert scene.ready()["True"] in {None, 0}
    scene.informer.seen(scene.kube.create(server("new")), deleted=False)
    assert [key.name for key in scene.cache.servers()] == ["ours"]


@pytest.mark.parametrize("by", ["watch", "sweep"])
async def test_a_server_that_goes_to_another_installation_is_forgotten(by: str) -> None:
    scene = Scene()
    scene.informer.covers = blue
    scene.kube.create(server("docs", blue=True))
    await scene.informer.prime()
    (key,) = scene.cache.servers()
    scene.changed.clear()
    theirs = scene.kube.edit(SERVER.kind, key, spec={})
    if by == "watch":
        scene.informer.seen(theirs, deleted=False)
        assert scene.changed == [key]
    else:
        await scene.informer.prime()
    assert list(scene.cache.servers()) == []
    # And comes back when it is ours again.
    scene.informer.seen(scene.kube.edit(SERVER.kind, key, spec={"blue": True}), deleted=False)
    assert list(scene.cache.servers()) == [key]
