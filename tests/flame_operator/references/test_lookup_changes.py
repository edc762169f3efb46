"""Which servers hear of a changed Secret or ConfigMap, and how little is asked of the API server."""

import pytest

from flame_operator.errors import Forbidden
from flame_operator.resource.kinds import CONFIG_MAP, Key
from tests.support.operator.references_world import (
    DOCS,
    LOOK,
    POLL,
    TOKEN,
    TOKENS,
    WIKI,
    World,
    reference,
    secret,
    settled,
)


async def test_all_users_hear_of_a_changed_value(world: World) -> None:
    await settled(world, DOCS, WIKI, bearer="old", other="1")
    await world.resolve(Key("team", "third"), reference("other"))
    before = await world.resolve()
    world.kube.edit("Secret", TOKENS, data=secret(bearer="new", other="1")["data"])
    async with world.polling():
        await world.time.pass_by(61)
    assert sorted(world.told) == [DOCS, WIKI]
    assert (await world.resolve()).digest not in ("", before.digest)


async def test_an_object_that_many_use_is_asked_for_once(world: World) -> None:
    await settled(world, *(Key("team", f"s{number}") for number in range(50)), bearer="1")
    async with world.polling():
        await world.time.pass_by(91)
    assert world.asked() == POLL * 2


async def test_an_unchanged_object_is_not_fetched_again(world: World) -> None:
    await settled(world, DOCS, bearer="1")
    async with world.polling():
        await world.time.pass_by(31)
        assert world.asked() == POLL
        world.kube.edit("Secret", TOKENS, metadata={**secret()["metadata"], "annotations": {"a": "b"}})
        await world.time.pass_by(61)
        assert world.asked() == LOOK
        await world.time.pass_by(61)
        assert world.asked() == POLL
    assert world.told == []


@pytest.mark.parametrize("data", [{"bearer": "s3cret"}, {"other": "x"}])
async def test_users_hear_soon_of_an_object_that_appears(world: World, data: dict[str, str]) -> None:
    await world.resolve()
    async with world.polling():
        await world.time.pass_by(11)
        assert world.told == []
        world.kube.create(secret(**data))
        await world.time.pass_by(11)
        assert world.told == [DOCS]
    resolved = await world.resolve()
    assert (resolved.digest != "") == ("bearer" in data)


async def test_users_hear_of_an_object_that_goes(world: World) -> None:
    await settled(world, DOCS, bearer="s3cret")
    world.kube.remove("Secret", TOKENS)
    async with world.polling():
        await world.time.pass_by(31)
    assert world.told == [DOCS]
    assert "doesn't exist" in (await world.resolve()).problems[0]


async def test_users_hear_of_a_right_that_goes_and_comes_back(world: World) -> None:
    await settled(world, DOCS, bearer="s3cret")
    async with world.polling():
        world.kube.fail = {"get Secret": Forbidden("no"), "metadata Secret": Forbidden("no")}
        await world.time.pass_by(31)
        assert "can't be read" in (await world.resolve()).problems[0]
        world.asked()
        await world.time.pass_by(31)
        assert set(world.asked()) == {"metadata Secret"}
        assert world.told == [DOCS]
        world.kube.fail = {}
        await world.time.pass_by(11)
    assert world.told == [DOCS, DOCS]
    assert (await world.resolve()).problems == ()


async def test_the_others_hear_of_a_change_that_a_new_user_finds(world: World) -> None:
    await settled(world, DOCS, bearer="old", other="1")
    world.kube.edit("Secret", TOKENS, data=secret(bearer="new", other="1")["data"])
    await world.resolve(WIKI, reference("other"), TOKEN)
    assert world.told == [DOCS]


async def test_an_object_that_nobody_uses_is_no_longer_polled(world: World) -> None:
    await settled(world, DOCS, WIKI, bearer="1")
    world.kube.create(secret("others", bearer="1"))
    await world.resolve(DOCS, reference(name="others"))
    world.references.forget(WIKI)
    world.references.forget(WIKI)
    assert len(world.references) == 1
    world.references.forget(DOCS)
    world.asked()
    async with world.polling():
        await world.time.pass_by(120)
    assert (world.asked(), len(world.references), world.told) == ([], 0, [])


async def test_a_former_user_hears_nothing(world: World) -> None:
    await settled(world, DOCS, WIKI, bearer="1")
    world.references.forget(DOCS)
    world.kube.edit("Secret", TOKENS, data={})
    async with world.polling():
        await world.time.pass_by(31)
    assert world.told == [WIKI]


async def test_a_config_map_with_docs_is_known_by_a_digest_and_its_change_is_told(world: World) -> None:
    pages = {"kind": "ConfigMap", "metadata": {"name": "pages", "namespace": "team"}, "data": {"a.md": "# A"}}
    source = reference(None, kind=CONFIG_MAP, name="pages", rolls=False, loads=True)
    assert (await world.resolve(DOCS, source)).sources == ""
    world.kube.create(pages)
    async with world.polling():
        await world.time.pass_by(11)
        before = await world.resolve(DOCS, source)
        world.kube.edit("ConfigMap", Key("team", "pages"), data={"a.md": "# B"})
        await world.time.pass_by(61)
    assert world.told == [DOCS, DOCS]
    after = await world.resolve(DOCS, source)
    # What only runs read replaces no pod.
    assert (before.digest, after.digest) == ("", "")
    assert before.sources != after.sources != ""
    # Nor does a missing one stop any.
    missing = await world.resolve(
        DOCS, source, reference(None, kind=CONFIG_MAP, name="b", rolls=False, loads=True)
    )
    assert (missing.sources, missing.problems) == ("", ())
