"""Lookups under trouble and load: errors, crowds, slow answers; and that secrets stay secret."""

import asyncio
import base64

import pytest
import structlog

from flame_operator.errors import Unavailable
from flame_operator.references.lookup import LOOKS_AT_ONCE, LOOKS_PER_SECOND
from flame_operator.resource.kinds import Key
from tests.support.operator.fake_time import settle
from tests.support.operator.references_world import (
    DOCS,
    LOOK,
    POLL,
    TOKENS,
    WIKI,
    World,
    reference,
    secret,
    settled,
)


async def test_servers_that_come_at_once_share_one_request(world: World) -> None:
    slow = world.slow()
    slow.create(secret(bearer="1"))
    slow.hold()
    servers = [Key("team", f"s{number}") for number in range(20)]
    resolving = asyncio.gather(*(world.resolve(server) for server in servers))
    await settle()
    slow.free.set()
    assert (len(set(await resolving)), world.asked(), world.told) == (1, ["get Secret"], [])


async def test_a_server_that_comes_during_a_poll_shares_its_request(world: World) -> None:
    """Two answers that overtake each other would leave the older one in memory."""
    slow = world.slow()
    await settled(world, DOCS, bearer="1", other="x")
    slow.edit("Secret", TOKENS, data=secret(bearer="2", other="x")["data"])
    slow.hold()
    async with world.polling():
        passing = asyncio.create_task(world.time.pass_by(31))
        await slow.asked.wait()
        coming = asyncio.create_task(world.resolve(WIKI, reference("other")))
        await settle()
        slow.free.set()
        await passing
        assert (await coming).digest != ""
    assert world.asked() == LOOK


async def test_an_object_whose_last_user_leaves_during_a_poll_is_no_longer_polled(world: World) -> None:
    slow = world.slow()
    await settled(world, DOCS, bearer="1")
    slow.hold()
    async with world.polling():
        passing = asyncio.create_task(world.time.pass_by(31))
        await slow.asked.wait()
        world.references.forget(DOCS)
        slow.free.set()
        await passing
        await world.time.pass_by(200)
    assert world.asked() == POLL


async def test_a_failed_lookup_of_a_key_is_repeated(world: World) -> None:
    await settled(world, DOCS, bearer="1", other="x")
    world.kube.fail["get Secret"] = Unavailable("away")
    with pytest.raises(Unavailable):
        await world.resolve(WIKI, reference("other"))
    world.kube.fail.clear()
    async with world.polling():
        await world.time.pass_by(11)
    assert world.told == [WIKI]


async def test_an_object_that_can_not_be_read_costs_its_users_one_request(world: World) -> None:
    world.kube.fail["get Secret"] = Unavailable("decrypting failed")
    for server in (DOCS, WIKI, DOCS):
        with pytest.raises(Unavailable, match="decrypting failed"):
            await world.resolve(server)
    assert world.asked() == ["get Secret"]
    world.kube.create(secret(bearer="1"))
    async with world.polling():
        await world.time.pass_by(11)
        assert world.told == []
        world.kube.fail.clear()
        await world.time.pass_by(11)
    assert sorted(world.told) == [DOCS, WIKI]
    assert (await world.resolve()).digest != ""


async def test_trouble_while_polling_changes_nothing_and_is_logged_once_each_time(world: World) -> None:
    await settled(world, DOCS, bearer="1")
    before = await world.resolve()
    with structlog.testing.capture_logs() as logs:
        async with world.polling():
            world.kube.fail["metadata Secret"] = Unavailable("away")
            await world.time.pass_by(200)
            assert await world.resolve() == before
            del world.kube.fail["metadata Secret"]
            await world.time.pass_by(61)
            world.kube.fail["metadata Secret"] = Unavailable("away again")
            await world.time.pass_by(61)
            world.kube.fail["metadata Secret"] = KeyError("a bug")
            await world.time.pass_by(61)
            world.kube.fail.clear()
            world.kube.edit("Secret", TOKENS, data={})
            await world.time.pass_by(61)
    assert [(line["log_level"], line["object"]) for line in logs] == [
        ("warning", "Secret team/tokens"),
        ("warning", "Secret team/tokens"),
        ("error", "Secret team/tokens"),
    ]
    assert world.told == [DOCS]


async def test_looks_are_spread_and_never_a_burst(world: World) -> None:
    phases = iter(range(10**6))
    world.start(jitter=lambda: next(phases) % 100 / 100)
    refs = [reference(name=f"s{number}") for number in range(600)]
    for ref in refs:
        world.kube.create(secret(ref.name, bearer="1"))
    await world.resolve(DOCS, *refs)
    world.asked()
    counts = []
    async with world.polling():
        for _ in range(240):
            await world.time.pass_by(1)
            counts.append(len(world.asked()))
    assert max(counts) <= LOOKS_PER_SECOND
    assert sum(counts) == pytest.approx(600 * 240 / 60, rel=0.2)
    assert counts.count(0) < 24, "there are pauses, so elsewhere there are bursts"


async def test_slow_answers_do_not_pile_up(world: World) -> None:
    slow = world.slow()
    await world.resolve(DOCS, *(reference(name=f"s{number}") for number in range(20)))
    world.asked()
    slow.hold()
    async with world.polling():
        passing = asyncio.create_task(world.time.pass_by(5.5))
        for _ in range(20):
            await settle()
        assert len(world.asked()) == LOOKS_AT_ONCE
        slow.free.set()
        await passing
        assert len(world.asked()) == 20 - LOOKS_AT_ONCE


async def test_neither_memory_nor_logs_hold_a_secret(world: World) -> None:
    """Neither what is kept nor what is logged holds a value, in any form that gives it away."""
    value = "hunter2-hunter2"
    with structlog.testing.capture_logs() as logs:
        await settled(world, DOCS, bearer=value)
        resolved = await world.resolve()
    kept = repr((logs, resolved, world.references._objects, world.references._uses, vars(world.references)))
    for form in (value, base64.b64encode(value.encode()).decode(), value.encode().hex(), str(value.encode())):
        assert form not in kept
    assert resolved.digest in kept
