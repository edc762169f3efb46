"""Namespaces that a label selector chooses, and what joins and leaves with them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from flame_operator.api.lists import Page
from flame_operator.api.reading import Line
from flame_operator.errors import Conflict, Refused, Unavailable, UserError
from flame_operator.informer.cache import Cache
from flame_operator.informer.informer import MOST_ALONE, Informer
from flame_operator.informer.namespaces import Namespaces
from flame_operator.informer.watch_health import WatchHealth
from flame_operator.resource.kinds import NAMESPACE, Key, Kind, Manifest
from tests.support.operator.fake_kube import FakeKube, server


def page(*names: str) -> Page:
    return Page([{"kind": "Namespace", "metadata": {"name": name}} for name in names], "7")


def event(what: str, name: str | None = None) -> Line:
    metadata = (
        {"name": name, "uid": "1", "labels": {"metadata": "name"}} if name else {"resourceVersion": "8"}
    )
    body = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return Line(json.dumps({"type": what, "object": body}).encode(), whole=True)


class Api:
    """Answers lists and watches in turn; an error is raised instead."""

    def __init__(self, lists: Iterable[Any], watches: Iterable[Iterable[Any]] = ()) -> None:
        self.lists, self.watches = list(lists), [list(one) for one in watches]
        self.asked: list[Any] = []
        self.done = asyncio.Event()

    async def pages(self, kind: Kind, **how: Any) -> AsyncIterator[Page]:  # noqa: ANN401 - as asked
        self.asked.append((kind, how))
        answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(answer, Exception):
            raise answer
        yield answer

    async def watch(self, kind: Kind, **how: Any) -> AsyncIterator[Line]:  # noqa: ANN401 - as asked
        self.asked.append((kind, how))
        if not self.watches:
            self.done.set()
            await asyncio.sleep(60)
        for answer in self.watches.pop(0):
            if isinstance(answer, Exception):
                raise answer
            yield answer


class Looks:
    def __init__(self, failures: int = 0) -> None:
        self.told: list[str] = []
        self.failures = failures

    async def look_at(self, namespaces: set[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("no answer")
        self.told.append(f"+{','.join(sorted(namespaces))}")

    def leave(self, namespace: str) -> None:
        self.told.append(f"-{namespace}")


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


async def followed(api: Api, looks: Looks | Informer) -> Namespaces:
    """The namespaces, primed and followed until the API server has told all."""
    namespaces = Namespaces(api, "team=games", sleep=no_sleep)
    await namespaces.prime()
    running = asyncio.create_task(namespaces.run(looks))
    async with asyncio.timeout(5):
        await api.done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return namespaces


@pytest.mark.parametrize(
    ("watch", "told"),
    [
        ([event("ADDED", "b")], ["+b"]),
        ([event("MODIFIED", "a"), event("BOOKMARK")], []),
        ([event("DELETED", "a"), event("ADDED", "a")], ["-a", "+a"]),
        ([event("ADDED", "b"), Conflict("410")], ["+b"]),
        ([event("ERROR"), event("ADDED", "b")], []),
        ([Line(event("ADDED", "b").text[:120], whole=False)], ["+b"]),
    ],
)
async def test_what_events_mean(watch: list[Any], told: list[str]) -> None:
    after = {"a"} | {one[1:] for one in told}
    api, looks = Api([page("a"), page("a"), page(*after)], [watch]), Looks()
    await followed(api, looks)
    assert looks.told == told
    asked = [(kind, how["selector"], how["metadata_only"]) for kind, how in api.asked]
    assert set(asked) == {(NAMESPACE, "team=games", True)}


async def test_what_a_broken_watch_missed_is_in_the_next_list() -> None:
    api, looks = Api([page("a", "b"), page("a", "b"), page("b", "c")], [[Unavailable("reset")]]), Looks()
    namespaces = await followed(api, looks)
    assert looks.told == ["-a", "+c"]
    assert [namespaces.covers(server(namespace=name)) for name in "abc"] == [False, True, True]


async def test_a_namespace_that_can_not_be_listed_is_tried_again() -> None:
    api, looks = Api([page(), page("a")]), Looks(failures=2)
    await followed(api, looks)
    assert looks.told == ["+a"]


async def test_missing_rights_and_a_wrong_selector_are_explained() -> None:
    with pytest.raises(UserError, match=r"namespaceSelector of its chart"):
        await Namespaces(Api([Refused("forbidden")]), "a in b").prime()
    namespaces = Namespaces(Api([Unavailable("starting"), page("a")]), "team=games", sleep=no_sleep)
    await namespaces.prime()
    assert namespaces.covers(server(namespace="a"))


class Scene:
    """An informer whose installation covers the namespaces of a list."""

    def __init__(self, *covered: str) -> None:
        self.covered = set(covered)
        self.kube, self.cache = FakeKube(), Cache()
        self.changed: list[Key] = []
        health = WatchHealth(namespaced=False, grace=90)
        self.informer = Informer(
            self.kube, self.cache, self.changed.append, health, resync_seconds=600, covers=self.covers
        )

    def covers(self, body: Manifest) -> bool:
        return body["metadata"]["namespace"] in self.covered

    def known(self) -> set[Key]:
        return set(self.cache.servers())


async def test_servers_join_and_leave_with_their_namespace() -> None:
    scene = Scene("a")
    for name in "ab":
        scene.kube.create(server(namespace=name))
    await scene.informer.prime()
    assert scene.known() == {("a", "docs")}
    scene.changed.clear()
    scene.covered.add("b")
    await scene.informer.look_at({"b"})
    # Nothing of other namespaces is lost by a list of one.
    assert scene.known() == {("a", "docs"), ("b", "docs")}
    scene.covered.remove("a")
    scene.informer.leave("a")
    assert scene.known() == {("b", "docs")}
    assert scene.changed == [("b", "docs"), ("a", "docs")]


async def test_a_server_that_comes_back_as_it_was_is_known_again() -> None:
    """Its version is none that is newer than what was seen while nobody here handled it."""
    scene = Scene("a")
    body = scene.kube.create(server(namespace="a"))
    await scene.informer.prime()
    scene.covered.clear()
    scene.informer.leave("a")
    scene.informer.seen(body, deleted=False)
    assert scene.known() == set()
    scene.covered.add("a")
    await scene.informer.look_at({"a"})
    assert scene.known() == {("a", "docs")}


async def test_many_namespaces_take_one_list_of_everything() -> None:
    scene = Scene()
    names = [f"n{number}" for number in range(MOST_ALONE + 1)]
    for name in names:
        scene.kube.create(server(namespace=name))
    await scene.informer.prime()
    scene.covered.update(names)
    before = scene.informer.swept_at
    await scene.informer.look_at(set(names))
    assert len(scene.known()) == len(names)
    assert scene.informer.swept_at > before
    assert sorted(scene.changed) == sorted(Key(name, "docs") for name in names)
