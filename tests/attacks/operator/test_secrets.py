"""Attacks L3 and L4: a Secret that isn't the operator's as a token, and keys that can be guessed."""

import base64

import pytest

from flame_operator.desired.qdrant import unkeyed_digest
from flame_operator.resource.annotations import KEYS_HASH
from flame_operator.resource.kinds import DEPLOYMENT, JOB, SECRET, STATEFUL_SET, Key, Manifest
from tests.support.operator.fake_kube import FakeKube
from tests.support.operator.reconciling import KEY, Operator, conditions, running, with_server

STORE = Key(KEY.namespace, "docs-qdrant")
MANAGED = {"type": "Managed"}
LEFTOVER = {"kind": "FlameMCPServer", "name": "docs", "uid": "uid-of-nobody", "controller": True}


def foreign(name: str, *owners: Manifest, **data: str) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": KEY.namespace, "ownerReferences": list(owners)}
    return {"kind": SECRET.kind, "metadata": metadata, "data": encoded}


@pytest.mark.parametrize("owners", [(), (LEFTOVER,)])
async def test_a_foreign_secret_with_the_servers_name_is_never_a_token(owners: tuple[Manifest, ...]) -> None:
    """Row 31: the Deployment was made, and mounted the stranger's value as the bearer token."""
    kube = with_server(auth={"type": "Bearer"})
    kube.create(foreign("docs", *owners, token="guessed"))  # noqa: S106 - a stranger's
    operator = await running(kube)
    assert (DEPLOYMENT.kind, KEY) not in kube.objects
    assert conditions(kube)["Ready"][0] != "True"
    if not owners:
        assert conditions(kube)["Stalled"] == ("True", "NameTaken")
    kube.remove(SECRET.kind, KEY)
    await operator.settle()
    assert (DEPLOYMENT.kind, KEY) in kube.objects
    assert kube.objects[SECRET.kind, KEY]["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


async def test_foreign_keys_are_no_keys_of_qdrant() -> None:
    kube = with_server(vectorStore=MANAGED)
    kube.create(foreign("docs-qdrant", **{"api-key": "a", "read-only-api-key": "b"}))
    operator = await running(kube)
    await operator.settle()
    assert {kind for kind, _ in kube.objects}.isdisjoint({DEPLOYMENT.kind, STATEFUL_SET.kind, JOB.kind})


async def test_a_run_does_not_mount_foreign_keys() -> None:
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)
    kube.remove(SECRET.kind, STORE)
    kube.create(foreign("docs-qdrant", **{"api-key": "a", "read-only-api-key": "b"}))
    operator.cache.learn(SECRET.kind, STORE, None)  # as the poll of references does
    operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, status={"readyReplicas": 1}))
    await operator.settle()
    assert JOB.kind not in {kind for kind, _ in kube.objects}
    assert conditions(kube)["Stalled"] == ("True", "NameTaken")


def keys_hash(kube: FakeKube) -> str:
    found: str = kube.objects[STATEFUL_SET.kind, STORE]["spec"]["template"]["metadata"]["annotations"][
        KEYS_HASH
    ]
    return found


async def edited(kube: FakeKube, operator: Operator, **data: str) -> None:
    """Somebody replaces Qdrant's keys by others."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    kube.edit(SECRET.kind, STORE, data=encoded)
    operator.cache.learn(SECRET.kind, STORE, None)
    await operator.settle()


async def test_keys_can_not_be_guessed_from_the_annotation() -> None:
    """Row 36: the annotation of the pods was a plain SHA-256 of the keys."""
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)
    first = keys_hash(kube)
    assert first != unkeyed_digest(kube.objects[SECRET.kind, STORE]["data"])
    await edited(kube, operator, **{"api-key": "1234", "read-only-api-key": "5678"})
    data = kube.objects[SECRET.kind, STORE]["data"]
    assert keys_hash(kube) not in (first, unkeyed_digest(data))
    other = Operator(kube)
    other.digests.use(b"x" * 32)
    await other.start()
    await other.settle()
    assert len(keys_hash(kube)) == 32


async def test_an_upgrade_restarts_no_qdrant_whose_keys_nobody_can_guess() -> None:
    kube = with_server(vectorStore=MANAGED)
    operator = await running(kube)

    def as_before() -> None:
        """The StatefulSet as an earlier operator has made it."""
        data = kube.objects[SECRET.kind, STORE]["data"]
        spec = kube.objects[STATEFUL_SET.kind, STORE]["spec"]
        spec["template"]["metadata"]["annotations"][KEYS_HASH] = unkeyed_digest(data)
        operator.cache.put(kube.edit(STATEFUL_SET.kind, STORE, spec=spec))

    as_before()
    before = keys_hash(kube)
    await operator.settle()
    assert keys_hash(kube) == before
    await edited(kube, operator, **{"api-key": "1234", "read-only-api-key": "5678"})
    as_before()
    await operator.settle()
    assert keys_hash(kube) != unkeyed_digest(kube.objects[SECRET.kind, STORE]["data"])
