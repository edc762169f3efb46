"""Two installations make passes over the same server: one handles it, and the other writes one status."""

from contextlib import nullcontext

import pytest

from flame_operator.desired.inputs import Defaults
from flame_operator.errors import Conflict
from flame_operator.resource.annotations import OPERATOR
from flame_operator.resource.installation import Installation
from flame_operator.resource.kinds import DEPLOYMENT, SERVER, Manifest
from tests.support.operator.fake_kube import FakeKube
from tests.support.operator.reconciling import KEY, Operator, conditions, with_server

ONE, TWO = Installation("one/operator"), Installation("two/operator")


async def both(kube: FakeKube) -> tuple[Operator, Operator]:
    """Two operators with different images; the second one starts when the first one has finished."""
    first, second = Operator(kube, ONE), Operator(kube, TWO)
    await first.start()
    await first.settle()
    second.defaults = Defaults(image="image:2")
    kube.writes.clear()
    await second.start()
    await second.settle()
    return first, second


def image(kube: FakeKube) -> str:
    found: str = kube.objects[DEPLOYMENT.kind, KEY]["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


async def test_who_comes_later_writes_one_status_and_the_first_one_none() -> None:
    kube = with_server()
    first, second = await both(kube)
    assert kube.writes == ["status"]
    assert conditions(kube)["Stalled"] == ("True", "OperatorConflict")
    for operator in (first, second):
        operator.cache.put(kube.objects[SERVER.kind, KEY])
        await operator.settle()
    assert kube.writes == ["status"]
    assert image(kube) == "image:1"
    assert conditions(kube)["Stalled"] == ("True", "OperatorConflict")
    assert conditions(kube)["Reconciling"] == ("True", "Deploying")


async def test_a_word_hands_over_and_ends_the_conflict() -> None:
    kube = with_server()
    first, second = await both(kube)
    body = kube.objects[SERVER.kind, KEY]
    body["metadata"]["annotations"] = {OPERATOR: TWO.name}
    kube.create(body)
    for operator in (second, first, second):
        operator.cache.put(kube.objects[SERVER.kind, KEY])
        await operator.settle()
    assert image(kube) == "image:2"
    assert kube.objects[SERVER.kind, KEY]["status"]["operator"] == TWO.claim()
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "not yet seen"])
async def test_a_claim_that_comes_during_a_pass_is_not_overwritten(seen: bool) -> None:
    kube = with_server()
    operator = Operator(kube, ONE)
    await operator.start()
    apply = kube.apply

    async def claimed(manifest: Manifest, *, uid: str | None) -> Manifest:
        body = kube.edit(SERVER.kind, KEY, status={"operator": TWO.claim()})
        if seen:
            operator.cache.put(body)
        return await apply(manifest, uid=uid)

    kube.apply = claimed  # type: ignore[method-assign]
    with nullcontext() if seen else pytest.raises(Conflict):
        await operator.reconcile(KEY)
    assert kube.objects[SERVER.kind, KEY]["status"]["operator"] == TWO.claim()
    assert "status" not in kube.writes
