"""What a lookup finds: problems of referenced Secrets and ConfigMaps, and the digest that rolls pods."""

import pytest

from flame_operator.errors import Forbidden, Refused, Unavailable
from flame_operator.references.resolved import Resolved
from flame_operator.resource.kinds import CONFIG_MAP
from tests.support.operator.references_world import DOCS, FIELD, TOKEN, TOKENS, WIKI, World, reference, secret


async def test_a_reference_that_is_there_is_no_problem(world: World) -> None:
    world.kube.create(secret(bearer="s3cret"))
    resolved = await world.resolve()
    assert resolved.problems == ()
    assert len(resolved.digest) == 41
    assert world.asked() == ["get Secret"]


async def test_a_second_look_is_answered_from_memory(world: World) -> None:
    world.kube.create(secret(bearer="s3cret"))
    first = await world.resolve()
    world.asked()
    assert await world.resolve() == first == await world.resolve(WIKI)
    assert world.asked() == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, 'Secret team/tokens doesn\'t exist; create it with the key "bearer"'),
        (
            {"other": "x"},
            'Secret team/tokens has no value under the key "bearer"; add one, or name another key',
        ),
        (
            {"bearer": ""},
            'Secret team/tokens has no value under the key "bearer"; add one, or name another key',
        ),
    ],
)
async def test_a_missing_object_or_key_is_named(
    world: World, data: dict[str, str] | None, problem: str
) -> None:
    if data is not None:
        world.kube.create(secret(**data))
    assert await world.resolve() == Resolved((f"{FIELD}: {problem}",), gone=(TOKEN,))


async def test_a_missing_right_is_named(world: World) -> None:
    world.kube.fail["get ConfigMap"] = Forbidden("no")
    resolved = await world.resolve(DOCS, reference("ca.crt", kind=CONFIG_MAP, name="ca", field="spec.ca"))
    (problem,) = resolved.problems
    assert problem == (
        "spec.ca: ConfigMap team/ca can't be read by the operator; "
        "give its role the verb get on configmaps in namespace team"
    )
    assert resolved.gone == ()  # pods may well be able to read it


async def test_an_object_without_a_key_only_has_to_be_there(world: World) -> None:
    whole = reference(None, rolls=False)
    # Pods do without it, so it holds nobody up.
    assert await world.resolve(DOCS, whole) == Resolved(
        awaited=(f"{FIELD}: Secret team/tokens doesn't exist; create it",)
    )
    world.start()
    world.kube.create(secret())
    assert await world.resolve(DOCS, whole) == Resolved()


async def test_problems_come_in_the_order_of_the_spec_and_once(world: World) -> None:
    world.kube.create(secret("b", key="x"))
    refs = [reference(name=name, field=f"spec.{name}") for name in ("c", "a", "b", "c")]
    resolved = await world.resolve(DOCS, *refs)
    assert [problem.partition(":")[0] for problem in resolved.problems] == ["spec.c", "spec.a", "spec.b"]
    assert resolved.digest == ""


async def test_other_errors_of_the_api_server_are_raised(world: World) -> None:
    for error in (Unavailable("away"), Refused("odd")):
        world.start()
        world.kube.fail["get Secret"] = error
        with pytest.raises(type(error)):
            await world.resolve()


async def test_a_server_without_references_costs_no_requests(world: World) -> None:
    assert await world.references.resolve(DOCS, ()) == Resolved()
    assert (world.asked(), len(world.references)) == ([], 0)
    await world.resolve()
    await world.references.resolve(DOCS, ())
    assert (len(world.references), world.references._uses) == (0, {})


async def test_a_missing_secret_of_our_own_is_not_reported(world: World) -> None:
    own = reference(field="", name="docs", own=True)
    assert await world.resolve(DOCS, own) == Resolved()
    world.kube.create(secret("docs", bearer="made"))
    resolved = await world.resolve(DOCS, own)
    assert resolved.digest != "", "what the caller has made since is seen"
    world.asked()
    assert await world.resolve(DOCS, own) == resolved
    assert (world.asked(), world.told) == ([], [])


async def test_the_digest_covers_only_references_that_roll_pods(world: World) -> None:
    for name in ("a", "b"):
        world.kube.create(secret(name, bearer="1"))
    rolling, other = reference(name="a"), reference(name="b", rolls=False)
    both = await world.resolve(DOCS, rolling, other)
    assert both.digest == (await world.resolve(DOCS, rolling)).digest != ""
    assert (await world.resolve(DOCS, other)).digest == ""


async def test_the_digest_survives_a_restart_and_unrelated_changes(world: World) -> None:
    world.kube.create(secret(bearer="s3cret"))
    before = await world.resolve()
    world.kube.remove("Secret", TOKENS)
    world.kube.create({**secret(bearer="s3cret", more="x"), "immutable": True})
    world.start()
    assert await world.resolve() == before
