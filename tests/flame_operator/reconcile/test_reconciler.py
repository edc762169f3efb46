"""Whole passes against an API server in memory: what is written, how often, and what is left alone."""

import copy
from typing import Any

import pytest

from flame_operator.errors import Conflict, Invalid, NamespaceTerminating, Refused, Unavailable
from flame_operator.reconcile.reconciler import ROUNDS
from flame_operator.reconcile.revisit import LOOK_AGAIN_SECONDS
from flame_operator.resource.kinds import SERVER
from tests.support.operator.fake_kube import Crash, FakeKube, server
from tests.support.operator.reconciling import (
    FIRST_WRITES,
    KEY,
    KINDS,
    Operator,
    children,
    conditions,
    running,
    with_server,
)


async def test_one_write_per_child_and_one_for_the_status() -> None:
    kube = with_server()
    await running(kube)
    assert kube.writes == FIRST_WRITES
    assert [request for request in kube.requests if not request.startswith("list")] == FIRST_WRITES


async def test_a_restart_writes_nothing() -> None:
    kube = with_server()
    await running(kube)
    kube.writes.clear()
    await running(kube)
    assert kube.writes == []


async def test_a_changed_spec_changes_what_it_concerns() -> None:
    kube = with_server()
    operator = await running(kube)
    kube.writes.clear()
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={"service": {"port": 81}}))
    await operator.settle()
    assert kube.writes == ["apply Service", "status"]
    assert kube.objects[SERVER.kind, KEY]["status"]["url"].endswith(":81/mcp")


async def test_a_field_that_leaves_the_spec_leaves_the_child() -> None:
    kube = with_server(service={"annotations": {"a": "1"}}, scheduling={"nodeSelector": {"x": "y"}})
    operator = await running(kube)
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={}))
    await operator.settle()
    assert "a" not in kube.objects["Service", KEY]["metadata"]["annotations"]
    assert "nodeSelector" not in kube.objects["Deployment", KEY]["spec"]["template"]["spec"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deleted_child_comes_back(kind: str) -> None:
    kube = with_server()
    operator = await running(kube)
    before = children(kube)
    kube.writes.clear()
    assert operator.cache.drop(kube.remove(kind, KEY))
    await operator.settle()
    assert f"apply {kind}" in kube.writes
    assert set(kube.writes) <= {f"apply {kind}", "status"}
    assert children(kube) == before


async def test_an_edited_child_is_set_right() -> None:
    kube = with_server()
    operator = await running(kube)
    kube.writes.clear()
    operator.cache.put(kube.edit("ConfigMap", KEY, data={"FLAME_MCP_PORT": "1"}))
    await operator.settle()
    assert kube.writes == ["apply ConfigMap"]


async def test_a_child_that_loses_its_label_gets_it_back() -> None:
    """A watch with a selector reports it as deleted, with the version that it still has."""
    kube = with_server()
    operator = await running(kube)
    before = children(kube)
    metadata = {**kube.objects["Service", KEY]["metadata"], "labels": {}}
    operator.cache.drop(kube.edit("Service", KEY, metadata=metadata))
    await operator.settle()
    assert children(kube) == before


async def test_a_port_that_others_add_is_removed() -> None:
    kube = with_server()
    operator = await running(kube)
    before = children(kube)
    kube.writes.clear()
    spec = copy.deepcopy(kube.objects["Service", KEY]["spec"])
    spec["ports"].append({"port": 22, "protocol": "TCP"})
    operator.cache.put(kube.edit("Service", KEY, spec=spec))
    kube.fail_once["apply Service"] = Invalid("duplicate")
    await operator.settle()
    assert children(kube) == before
    assert kube.writes == ["correct Service", "apply Service"]


async def test_a_child_that_somebody_deleted_unseen_is_created_anew() -> None:
    """The cache still has it: the first write is refused, and the operator looks before it decides again."""
    kube = with_server()
    operator = await running(kube)
    kube.remove("Service", KEY)
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={"service": {"port": 81}}))
    await operator.settle()
    assert kube.objects["Service", KEY]["spec"]["ports"][0]["port"] == 81


@pytest.mark.parametrize("kind", KINDS)
async def test_a_foreign_object_is_left_alone_and_reported_until_it_goes(kind: str) -> None:
    kube = with_server()
    foreign = kube.create(
        {"kind": kind, "metadata": {"name": "docs", "namespace": "team"}, "data": {"mine": "1"}}
    )
    operator = await running(kube)
    assert kube.objects[kind, KEY] == foreign
    assert conditions(kube)["Stalled"] == ("True", "NameTaken")
    assert conditions(kube)["Ready"] == ("False", "NameTaken")
    assert sorted(key[0] for key in kube.objects) == sorted([*KINDS, SERVER.kind])
    kube.writes.clear()
    assert await operator.settle() == LOOK_AGAIN_SECONDS
    assert kube.writes == []
    kube.remove(kind, KEY)
    assert await operator.settle() is None
    assert kube.objects[kind, KEY]["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")


async def test_an_object_that_takes_the_name_of_a_known_child_is_left_alone() -> None:
    kube = with_server()
    operator = await running(kube)
    kube.remove("Service", KEY)
    foreign = kube.create({"kind": "Service", "metadata": {"name": "docs", "namespace": "team"}, "spec": {}})
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={"service": {"port": 81}}))
    await operator.settle()
    assert kube.objects["Service", KEY] == foreign
    assert conditions(kube)["Stalled"] == ("True", "NameTaken")


async def test_children_of_the_last_server_of_that_name_are_waited_for() -> None:
    kube = with_server()
    await running(kube)
    kube.remove(SERVER.kind, KEY)
    kube.create(server(uid="uid-new"))
    operator = Operator(kube)
    await operator.start()
    kube.writes.clear()
    assert await operator.settle() == LOOK_AGAIN_SECONDS
    assert kube.writes == ["status"]
    assert conditions(kube)["Reconciling"] == ("True", "Deploying")
    for kind in KINDS:
        operator.cache.drop(kube.remove(kind, KEY))
    await operator.settle()
    assert kube.objects["Service", KEY]["metadata"]["ownerReferences"][0]["uid"] == "uid-new"


async def test_suspended_children_stay_as_they_are() -> None:
    kube = with_server()
    operator = await running(kube)
    before = children(kube)
    kube.writes.clear()
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={"suspend": True, "replicas": 9}))
    operator.cache.drop(kube.remove("Service", KEY))
    await operator.settle()
    assert kube.writes == ["status"]
    assert conditions(kube)["Reconciling"] == ("False", "Suspended")
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={}))
    await operator.settle()
    assert children(kube) == before


async def test_an_invalid_spec_changes_no_child_and_is_not_retried() -> None:
    kube = with_server()
    operator = await running(kube)
    before = children(kube)
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={"replicas": "many"}))
    assert await operator.settle() is None
    assert children(kube) == before
    assert conditions(kube)["Stalled"] == ("True", "InvalidSpec")


@pytest.mark.parametrize("gone", [True, False])
async def test_a_server_that_is_deleted_is_left_to_garbage_collection(gone: bool) -> None:
    kube = with_server()
    operator = Operator(kube)
    await operator.start()
    if gone:
        operator.cache.drop(kube.remove(SERVER.kind, KEY))
    else:
        body = kube.objects[SERVER.kind, KEY]
        metadata = {**body["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
        operator.cache.put(kube.edit(SERVER.kind, KEY, metadata=metadata))
    assert await operator.reconcile(KEY) is None
    assert kube.writes == []


async def test_a_refused_child_is_reported_once_and_tried_again() -> None:
    kube = with_server()
    kube.fail["apply Deployment"] = Refused('admission webhook "x" denied the request')
    operator = Operator(kube)
    await operator.start()
    for _ in range(3):
        with pytest.raises(Refused):
            await operator.reconcile(KEY)
    assert conditions(kube)["Stalled"] == ("True", "ApplyRefused")
    assert kube.writes == ["apply ServiceAccount", "apply ConfigMap", "apply NetworkPolicy", "status"]
    kube.fail.clear()
    await operator.settle()
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")


async def test_nothing_is_written_into_a_namespace_that_is_deleted() -> None:
    kube = with_server()
    kube.fail["apply ServiceAccount"] = NamespaceTerminating("being terminated")
    operator = Operator(kube)
    await operator.start()
    assert await operator.reconcile(KEY) is None
    assert kube.writes == []


async def test_an_outage_is_not_swallowed() -> None:
    kube = with_server()
    kube.fail["apply Service"] = Unavailable("down")
    operator = Operator(kube)
    await operator.start()
    with pytest.raises(Unavailable):
        await operator.reconcile(KEY)


async def test_an_object_that_never_holds_still_is_given_up_for_now() -> None:
    kube = with_server()
    kube.fail["apply Service"] = Conflict("again")
    operator = Operator(kube)
    await operator.start()
    with pytest.raises(Conflict):
        await operator.reconcile(KEY)
    assert kube.requests.count("apply Service") == ROUNDS


BEARER: dict[str, Any] = {"auth": {"type": "Bearer"}}
EXPOSED: dict[str, Any] = {"ingress": {"host": "docs.example.com", "allowUnauthenticated": True}}
SCALED: dict[str, Any] = {"autoscaling": {"maxReplicas": 3}}
CHANGES: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "create": (None, {}),
    "create-with-token": (None, BEARER),
    "scale": ({}, {"replicas": 5}),
    "config": ({}, {"search": {"maxTokens": 900}}),
    "token-on": ({}, BEARER),
    "token-off": (BEARER, {}),
    "exposed": ({}, EXPOSED),
    "no-longer-exposed": (EXPOSED, {}),
    "autoscaled": ({}, SCALED),
    "no-longer-autoscaled": (SCALED, {"replicas": 1}),
    "all": (
        EXPOSED,
        {**BEARER, "replicas": 1, "service": {"port": 81}, "networkPolicy": {"type": "Disabled"}},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_at_any_write_converges(
    change: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = CHANGES[change]

    async def run(crash_at: tuple[int, str] | None) -> tuple[FakeKube, bool]:
        kube = with_server(**(after if before is None else before))
        # A token that is made after one has been stored is another.
        monkeypatch.setattr("secrets.token_urlsafe", lambda _: f"token-{kube.writes.count('apply Secret')}")
        if before is not None:
            await running(kube)
            kube.edit(SERVER.kind, KEY, spec=after)
            kube.writes.clear()
        kube.crash_at = crash_at
        crashed = False
        try:
            await running(kube)
        except Crash:
            crashed = True
        kube.crash_at = None
        await running(kube)
        return kube, crashed

    expected, _ = await run(None)
    number = 0 if moment == "before" else 1
    while True:
        kube, crashed = await run((number, moment))
        assert children(kube) == children(expected)
        assert conditions(kube) == conditions(expected)
        assert sorted(kube.writes) == sorted(expected.writes)
        if not crashed:
            break
        number += 1
    assert number >= len(expected.writes)
