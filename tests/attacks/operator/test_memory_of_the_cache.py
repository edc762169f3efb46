"""Attacks on the operator's memory by what the cache keeps: a tenant's own servers and their children."""

import random
from typing import Any

import pytest

from flame_operator.desired.inputs import Defaults
from flame_operator.informer.cache import LARGEST, Cache
from flame_operator.informer.namespace_bytes import NAMESPACE_BYTES
from flame_operator.resource.kinds import CONFIG_MAP, JOB, SERVER, Key, Manifest, is_whole
from flame_operator.resource.reasons import Reason
from flame_operator.samples import samples
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.reconciling import KEY, conditions, running, with_server

NOISE = random.Random(1)  # noqa: S311 - no secret
SAMPLES = samples(Defaults(image="image:1"))


def noise(size: int) -> str:
    return NOISE.randbytes(size // 2).hex()


def kept(cache: Cache) -> int:
    return sum(len(text) for _, text in cache._objects.values())


def owned(kind: str, server_name: str, name: str, version: int, **more: Any) -> Manifest:  # noqa: ANN401 - JSON
    owner = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "name": server_name}
    metadata = {"name": name, "namespace": "team", "uid": "u", "resourceVersion": str(version)}
    references = [{**owner, "uid": f"uid-of-{server_name}", "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {**metadata, "ownerReferences": references},
        **more,
    }


def versioned(version: int, name: str = "docs", **spec: Any) -> Manifest:  # noqa: ANN401 - JSON
    body = server(name, uid=f"uid-of-{name}", **spec)
    body["metadata"]["resourceVersion"] = str(version)
    return body


def test_thousand_servers_with_large_specs_and_children() -> None:
    """Attack on memory: 1,000 resources of 30 kB each, and their ConfigMaps, kept 34 MiB of one namespace."""
    cache = Cache()
    for number in range(1000):
        name = f"s{number}"
        cache.put(versioned(2 * number + 1, name, env=[{"name": "A", "value": noise(30_000)}]))
        cache.put(owned(CONFIG_MAP.kind, name, name, 2 * number + 2, data={"x": noise(30_000)}))
    assert len(list(cache.servers())) == 1000
    assert kept(cache) < NAMESPACE_BYTES + 1000 * 1024
    # When they are gone, there is room again.
    for number in range(999):
        body = versioned(5000 + number, f"s{number}")
        cache.drop(body)
    assert kept(cache) < 2 * LARGEST
    assert cache.put(versioned(9000, "s0", env=[{"name": "A", "value": noise(30_000)}]))
    found = cache.server(Key("team", "s0"))
    assert found is not None
    assert is_whole(found)


def test_an_honest_namespace_is_untouched() -> None:
    """The other side of it: what one namespace keeps takes no room of another."""
    cache = Cache()
    for number in range(1000):
        cache.put(versioned(number + 1, f"s{number}", env=[{"name": "A", "value": noise(30_000)}]))
    body = versioned(2000, env=[{"name": "A", "value": noise(20_000)}])
    body["metadata"]["namespace"] = "honest"
    cache.put(body)
    found = cache.server(Key("honest", "docs"))
    assert found is not None
    assert found["spec"] == body["spec"]


async def test_a_spec_that_is_too_large_is_told_to_its_owner() -> None:
    """Kind of it: the largest valid spec has 800 kB; its owner learns why nothing happens, once."""
    kube = with_server()
    operator = await running(kube)
    kube.writes.clear()
    large = {"env": [{"name": "A", "value": noise(200_000)}]}
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec=large))
    await operator.settle()
    assert conditions(kube)["Stalled"] == ("True", Reason.INVALID_SPEC)
    assert kube.writes == ["status"]
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={}))
    await operator.settle()
    assert conditions(kube)["Stalled"][0] == "False"


def test_large_jobs_of_a_server_that_is_gone_take_no_room() -> None:
    """Kind of it: Jobs are forgotten with their server, and so is what they took."""
    cache = Cache()
    cache.put(versioned(1))
    cache.put(owned(JOB.kind, "docs", "docs-ingest-1", 2, spec={"x": noise(20_000)}))
    assert cache._bytes._large
    cache.drop(versioned(3))
    assert not cache._bytes._large


def fleet(cache: Cache) -> int:
    """What 100 ordinary servers with their children take."""
    before = kept(cache)
    for number in range(100):
        for body in SAMPLES:
            name, namespace = f"fleet-{number}", f"team-{number}"
            metadata = {**body["metadata"], "namespace": namespace, "resourceVersion": "7"}
            own = body["metadata"]["name"].replace("docs", name, 1)
            found = {**body, "metadata": {**metadata, "name": own, "uid": f"uid-{number}"}}
            if body["kind"] != SERVER.kind:
                references = [{**metadata["ownerReferences"][0], "name": name, "uid": f"uid-{number}"}]
                found["metadata"]["ownerReferences"] = references
            cache.put(found)
    return kept(cache) - before


@pytest.mark.parametrize("junk", [{"x": "x" * 6000}, {}, {"x": noise(4000)}], ids=["x", "nothing", "noise"])
def test_objects_that_a_tenant_made_to_be_bad_dictionaries(junk: dict[str, str]) -> None:
    """Attack on memory: the first object of each kind was the dictionary, whoever had made it."""
    honest, attacked = Cache(SAMPLES), Cache(SAMPLES)
    attacked.put(versioned(1))
    for body in SAMPLES:
        if body["kind"] != SERVER.kind:
            first = owned(body["kind"], "docs", body["metadata"]["name"], 2, data=junk)
            attacked.put({**first, "apiVersion": body["apiVersion"]})
    assert fleet(attacked) < 1.05 * fleet(honest)


async def test_what_the_operator_makes_suits_its_samples() -> None:
    """The other side of it: a dictionary is found for every kind among the first objects."""
    kube = FakeKube()
    kube.create(server(vectorStore={"type": "Managed"}))
    operator = await running(kube)
    cache = Cache(SAMPLES)
    for (_, key), body in sorted(kube.objects.items(), key=lambda one: one[0][0] != SERVER.kind):
        assert key.namespace == "team"
        cache.put(body)
    assert cache._dictionaries.keys() == {kind for kind, _ in kube.objects}
    assert operator.cache.server(KEY) is not None
