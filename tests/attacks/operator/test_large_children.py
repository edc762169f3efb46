"""Attacks on a pass by what it reads: children of the tenant's own, and pods, that the tenant makes large."""

import pytest

from flame_operator.changes.apply import Applier
from flame_operator.changes.children import Children
from flame_operator.changes.plan import Apply
from flame_operator.errors import Conflict, TooLarge
from flame_operator.informer.cache import Cache
from flame_operator.informer.sweep import sweep
from flame_operator.resource.kinds import CONFIG_MAP, POD, SERVER, Key, Manifest, is_whole
from flame_operator.resource.ownership import is_ours
from flame_operator.resource.server import parse_server
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.labelled_objects import Large, LargeApi, serving
from tests.support.operator.under_attack import measured
from tests.support.slowness import slowness

FIELDS = '"managedFields":[{"fieldsV1":{' + ",".join(f'"f:{n}":{{}}' for n in range(100_000)) + "}}]"
LABELS = '"labels":{' + ",".join(f'"x{n}":"{n}"' for n in range(78_000)) + "}"
KEY = Key("team", "docs")


def honest() -> Manifest:
    body = server()
    body["metadata"]["resourceVersion"] = "1"
    return body


def child(kind: str, number: int = 5) -> Manifest:
    owner = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "name": "docs", "uid": "uid-1"}
    metadata = {"name": "docs", "namespace": "team", "uid": "u", "resourceVersion": str(number)}
    return {"kind": kind, "metadata": {**metadata, "ownerReferences": [{**owner, "controller": True}]}}


@pytest.mark.parametrize("metadata", [FIELDS, LABELS], ids=["managed fields", "labels"])
async def test_a_child_of_more_than_a_megabyte_that_a_pass_reads(metadata: str) -> None:
    """Attack on the loop: anybody with `edit` blows up a ConfigMap; parsing it took 30 ms in every pass."""
    cache = Cache()
    cache.put(honest())
    api = LargeApi([Large(CONFIG_MAP, child(CONFIG_MAP.kind), metadata)])
    async with serving(api) as (kube, _):
        for turn in range(10):
            cache.note(CONFIG_MAP.kind, KEY, 6 + turn)
            async with measured() as costs:
                await Children(kube, cache).look(parse_server(honest()))
            assert costs.grown_mib < 32
    found = cache.child(CONFIG_MAP.kind, KEY)
    assert found is not None
    assert not is_whole(found)
    assert not is_ours(parse_server(honest()), found)


async def test_a_child_that_is_too_large_when_it_has_been_written() -> None:
    """Kind of it: the answer to a write holds the whole child, which others may have made large."""
    kube, cache = FakeKube(), Cache()
    kube.create(server())
    await sweep(kube, cache)
    kube.fail_once["apply ConfigMap"] = TooLarge("large")
    applier = Applier(kube, cache, Children(kube, cache))
    manifest = {**child(CONFIG_MAP.kind), "apiVersion": "v1"}
    with pytest.raises(Conflict):
        await applier.carry_out(parse_server(honest()), [Apply(manifest, None)])
    assert kube.requests[-1] == "get ConfigMap"


async def test_a_hundred_pods_of_a_megabyte() -> None:
    """Attack on the loop and memory: 250 pods of 1.3 MB with a server's labels were read in every pass."""
    pods = []
    for number in range(100):
        body = {"metadata": {"name": f"p-{number}", "namespace": "team", "uid": "u", "resourceVersion": "7"}}
        pods.append(Large(POD, body, FIELDS))
    api = LargeApi(pods)
    async with serving(api) as (kube, _), measured() as costs:
        found = [pod async for pod in kube.list(POD, namespace="team")]
    assert [pod["metadata"]["name"] for pod in found] == ["p-0"]
    assert api.requests["list pods"] == 5
    assert costs.grown_mib < 32
    assert costs.late_ms < 50 * slowness()
