"""Attacks on the operator by resources of 1.3 MB: labels and managed fields that no schema bounds."""

import json
from pathlib import Path

import pytest

from flame_operator.api import selected
from flame_operator.api.calls import Call
from flame_operator.api.paging import PAGE
from flame_operator.informer.cache import Cache
from flame_operator.informer.sweep import sweep
from flame_operator.resource.kinds import SERVER, Key
from tests.support.operator.fake_kube import server
from tests.support.operator.kopf_watch import watched_by_kopf
from tests.support.operator.labelled_objects import Large, LargeApi, listening, serving
from tests.support.operator.under_attack import measured
from tests.support.slowness import slowness

FIELDS = '"managedFields":[{"fieldsV1":{' + ",".join(f'"f:{n}":{{}}' for n in range(100_000)) + "}}]"
LABELS = '"labels":{' + ",".join(f'"x{n}":"{n}"' for n in range(78_000)) + "}"
EMPTY = '"finalizers":[' + ",".join(["[]"] * 400_000) + "]"
LARGE = {"managed fields": FIELDS, "labels": LABELS, "empty lists": EMPTY}
"""What takes most time and memory when it is parsed."""


def servers(number: int, metadata: str, first: int = 1) -> list[Large]:
    found = []
    for one in range(first, first + number):
        body = server(f"docs-{one}", uid=f"uid-{one}")
        body["metadata"]["resourceVersion"] = str(one)
        found.append(Large(SERVER, body, metadata))
    return found


@pytest.mark.parametrize("metadata", LARGE.values(), ids=LARGE.keys())
async def test_kopf_among_large_servers(metadata: str, tmp_path: Path) -> None:
    """Attack on memory: 40 resources of 1.3 MB, listed and updated; pages of 20 took 289 MiB and 1.1 s."""
    updates = [("MODIFIED", one) for one in servers(20, metadata, first=101)]
    api = LargeApi(servers(40, metadata), updates)
    async with listening(api) as address:
        costs, seen = await watched_by_kopf(address, tmp_path, 60)
    assert len(set(seen)) == 60
    assert costs.grown_mib < 64
    assert costs.late_ms < 50 * slowness()


async def test_a_sweep_past_large_servers() -> None:
    """Attack on memory: the operator's own list of 40 resources with 1.3 MB of managed fields."""
    cache = Cache()
    async with serving(LargeApi(servers(40, FIELDS))) as (kube, _), measured() as costs:
        await sweep(kube, cache)
    assert len(list(cache.servers())) == 40
    assert costs.grown_mib < 64
    assert costs.late_ms < 50 * slowness()


@pytest.mark.parametrize("metadata", LARGE.values(), ids=LARGE.keys())
def test_what_is_read_of_a_large_server(metadata: str) -> None:
    """Attack on the event loop: no part of a resource that nobody reads becomes a Python object."""
    body = server("docs", image="x")
    text = json.dumps(body)[:-1] + ',"status":{"x":1}}'
    large = text.replace('"metadata": {', f'"metadata": {{{metadata},', 1).encode()
    assert selected.server(large) == {**body, "status": {"x": 1}}
    assert Call("GET", "/").most > len(large)


async def test_kopf_lists_many_ordinary_servers_in_few_requests(tmp_path: Path) -> None:
    """The other side of it: 2,000 ordinary resources are listed in pages of 250."""
    api = LargeApi(servers(2000, ""))
    async with listening(api) as address:
        _, seen = await watched_by_kopf(address, tmp_path, 2000)
    assert len(set(seen)) == 2000
    assert api.requests[f"list {SERVER.plural}"] == 2000 // PAGE


async def test_a_large_server_can_be_deleted(tmp_path: Path) -> None:
    """Kind of it: a resource of 1.3 MB is deleted, and kopf tells so."""
    (one,) = servers(1, FIELDS)
    last = Large(SERVER, {**one.body, "metadata": {**one.body["metadata"], "resourceVersion": "7"}}, FIELDS)
    async with listening(LargeApi([one], [("DELETED", last)])) as address:
        _, seen = await watched_by_kopf(address, tmp_path, 2)
    assert seen == ["docs-1", "-docs-1"]


async def test_a_large_server_is_known_by_its_spec() -> None:
    """Kind of it: labels of 1.3 MB hide neither the spec nor the status of a resource."""
    cache = Cache()
    async with serving(LargeApi(servers(1, LABELS))) as (kube, _):
        await sweep(kube, cache)
    found = cache.server(Key("team", "docs-1"))
    assert found is not None
    assert found["metadata"]["generation"] == 1
