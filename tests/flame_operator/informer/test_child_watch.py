"""The watch of children: where it goes on after a break, and what reaches the cache."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from flame_operator.api.lists import Page
from flame_operator.api.reading import Line
from flame_operator.changes.children import Children
from flame_operator.changes.pace import Pace
from flame_operator.errors import Conflict, NotFound, Unavailable
from flame_operator.informer.cache import Cache
from flame_operator.informer.child_watch import ChildWatch
from flame_operator.informer.informer import Informer
from flame_operator.informer.watch_health import WatchHealth
from flame_operator.resource.kinds import CONFIG_MAP, SERVER, Key, Kind, Manifest, without_content
from flame_operator.resource.server import parse_server
from tests.support.operator.fake_kube import FakeKube, server

KEY = Key("team", "docs")


def config_map(version: int, name: str = "docs", uid: str = "uid-1", **data: str) -> Manifest:
    owner = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "name": "docs", "uid": uid}
    metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": str(version)}
    owned = {**metadata, "ownerReferences": [{**owner, "controller": True}]}
    return {"kind": CONFIG_MAP.kind, "apiVersion": "v1", "metadata": owned, "data": data}


def line(what: str, body: Manifest) -> Line:
    return Line(json.dumps({"type": what, "object": body}).encode(), whole=True)


class Api:
    """Answers the lists and watches of ConfigMaps in turn, and those of other kinds with nothing."""

    def __init__(self, *answers: Iterable[Any]) -> None:
        self.answers = [list(answer) for answer in answers]
        self.asked: list[str] = []
        self.done = asyncio.Event()

    async def pages(self, kind: Kind, **_: Any) -> AsyncIterator[Page]:  # noqa: ANN401 - as asked
        if kind == CONFIG_MAP:
            self.asked.append("list")
            yield Page([without_content(kind, config_map(5)["metadata"])], "5")

    async def watch(self, kind: Kind, *, version: str, **_: Any) -> AsyncIterator[Line]:  # noqa: ANN401 - as asked
        if kind != CONFIG_MAP:
            await asyncio.sleep(60)
        self.asked.append(version)
        if not self.answers:
            self.done.set()
            await asyncio.sleep(60)
        for answer in self.answers.pop(0):
            if isinstance(answer, Exception):
                raise answer
            yield answer


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


async def run(api: Api) -> tuple[Informer, list[Key]]:
    changed: list[Key] = []
    informer = Informer(
        FakeKube(), Cache(), changed.append, WatchHealth(namespaced=False, grace=90), resync_seconds=600
    )
    body = server()
    body["metadata"]["resourceVersion"] = "1"
    informer.cache.put(body)
    watching = asyncio.create_task(ChildWatch(api=api, informer=informer, sleep=no_sleep).run())
    async with asyncio.timeout(5):
        await api.done.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return informer, changed


BOOKMARK = line("BOOKMARK", {"metadata": {"resourceVersion": "8"}})
ERROR = line("ERROR", {"code": 410})


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([[BOOKMARK]], ["list", "5", "8"]),
        ([[line("MODIFIED", config_map(7, "junk"))]], ["list", "5", "7"]),
        ([[BOOKMARK, Unavailable("cut")]], ["list", "5", "8"]),
        ([[BOOKMARK, ERROR]], ["list", "5", "list", "5"]),
        ([[Conflict("too old")]], ["list", "5", "list", "5"]),
        ([[NotFound("no kind")]], ["list", "5", "list", "5"]),
        ([[Unavailable("500")]] * 3, ["list", "5", "5", "5", "list", "5"]),
        ([[Line(b"nonsense", whole=True)]], ["list", "5", "5"]),
    ],
)
async def test_a_watch_goes_on_where_it_broke_off_or_with_a_list(
    answers: list[list[Any]], asked: list[str]
) -> None:
    api = Api(*answers)
    await run(api)
    assert api.asked == asked


async def test_a_new_list_tells_what_was_deleted_while_nobody_watched() -> None:
    """The list finds one ConfigMap; the other, of the same server, is gone."""
    changed: list[Key] = []
    cache = Cache()
    informer = Informer(FakeKube(), cache, changed.append, WatchHealth(namespaced=False, grace=90), 600)
    for body in (server(), server("other", uid="uid-2"), server("far", "elsewhere", uid="uid-3")):
        body["metadata"]["resourceVersion"] = "1"
        cache.put(body)
    gone = config_map(3, "other", "uid-2")
    elsewhere = config_map(3, "far", "uid-3")
    elsewhere["metadata"]["namespace"] = "elsewhere"
    for body in (config_map(4), gone, elsewhere):
        cache.put(body)
    api = Api([ERROR])
    watching = asyncio.create_task(
        ChildWatch(api=api, informer=informer, namespaces=["team"], sleep=no_sleep).run()
    )
    async with asyncio.timeout(5):
        await api.done.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert cache.child(CONFIG_MAP.kind, Key("team", "other")) is None
    assert Key("team", "other") in changed
    # The watch of one namespace doesn't list the others.
    assert cache.child(CONFIG_MAP.kind, Key("elsewhere", "far")) is not None
    assert Key("elsewhere", "far") not in changed


async def test_content_is_read_by_a_pass_and_not_by_the_watch() -> None:
    informer, changed = await run(Api([line("MODIFIED", config_map(7, x="not kept"))]))
    cache = informer.cache
    assert set(changed) == {KEY}
    assert cache.unread(KEY) == [(CONFIG_MAP.kind, KEY)]
    kube = FakeKube()
    kube.objects[CONFIG_MAP.kind, KEY] = config_map(7, x="read")
    await Children(kube, cache).look(parse_server(server()))
    child = cache.child(CONFIG_MAP.kind, KEY)
    assert child is not None
    assert child["data"] == {"x": "read"}
    assert cache.unread(KEY) == []


async def test_what_is_deleted_or_too_large_to_be_told() -> None:
    large = Line(line("MODIFIED", config_map(7)).text[:300], whole=False)
    informer, _ = await run(Api([large]))
    assert informer.cache.unread(KEY) == [(CONFIG_MAP.kind, KEY)]
    informer, changed = await run(Api([line("DELETED", config_map(9))]))
    assert informer.cache.child(CONFIG_MAP.kind, KEY) is None
    assert informer.cache.unread(KEY) == []
    assert changed == [KEY, KEY]


async def test_a_child_that_changes_all_the_time_is_read_at_an_even_pace() -> None:
    kube, cache, later = FakeKube(), Cache(), list[tuple[Key, float]]()
    body = server()
    body["metadata"]["resourceVersion"] = "1"
    cache.put(body)
    children = Children(
        kube, cache, lambda key, wait: later.append((key, wait)), Pace(1, burst=3, clock=lambda: 0.0)
    )
    for version in range(5, 105):
        kube.objects[CONFIG_MAP.kind, KEY] = config_map(version, x=str(version))
        cache.put(without_content(CONFIG_MAP, config_map(version)["metadata"]))
        await children.look(parse_server(server()))
    assert kube.requests == ["get ConfigMap"] * 4  # the first, which nothing could be done without, and three
    assert later[0] == (KEY, 1.0)
    child = cache.child(CONFIG_MAP.kind, KEY)
    assert child is not None
    assert child["data"] == {"x": "8"}  # until its turn comes, the old content counts


async def test_a_read_that_fails_is_done_again() -> None:
    kube, cache = FakeKube(), Cache()
    body = server()
    body["metadata"]["resourceVersion"] = "1"
    cache.put(body)
    cache.put(without_content(CONFIG_MAP, config_map(5)["metadata"]))
    kube.fail["get ConfigMap"] = Unavailable("away")
    with pytest.raises(Unavailable):
        await Children(kube, cache).look(parse_server(server()))
    assert cache.unread(KEY) == [(CONFIG_MAP.kind, KEY)]
