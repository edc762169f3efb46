"""Referenced Secrets and ConfigMaps: what is missing or has changed, who is told, and how little is asked."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from flame_operator.desired.references import Reference
from flame_operator.errors import Forbidden, Refused, Unavailable
from flame_operator.references.digests import Digests
from flame_operator.references.lookup import LOOKS_AT_ONCE, LOOKS_PER_SECOND, References
from flame_operator.references.poll_schedule import Schedule
from flame_operator.references.resolved import Resolved
from flame_operator.resource.kinds import CONFIG_MAP, SECRET, Key, Kind, Manifest
from tests.support.operator.fake_kube import FakeKube
from tests.support.operator.fake_time import FakeTime, settle

DOCS, WIKI = Key("team", "docs"), Key("team", "wiki")
TOKENS = Key("team", "tokens")
FIELD = "spec.auth.bearer.tokenSecretRef"
POLL = ["metadata Secret"]
LOOK = ["metadata Secret", "get Secret"]


def reference(
    key: str | None = "bearer",
    *,
    kind: Kind = SECRET,
    name: str = "tokens",
    **more: Any,  # noqa: ANN401
) -> Reference:
    return Reference(kind, name, key, **{"field": FIELD, "rolls": True, **more})


TOKEN = reference()


def secret(name: str = "tokens", namespace: str = "team", **data: str) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


class Slow(FakeKube):
    """Answers when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()
        self.asked = asyncio.Event()

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        return await self._wait(await super().get(kind, key))

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        return await self._wait(await super().get_metadata(kind, key))

    async def _wait(self, answer: Manifest | None) -> Manifest | None:
        self.asked.set()
        await self.free.wait()
        return answer

    def hold(self) -> None:
        """From now on, answer nothing until `free` is set."""
        self.free.clear()
        self.asked.clear()


class World:
    """An API server, time, and a references poller that may be started anew."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.time = FakeTime()
        self.told: list[Key] = []
        self.start()

    def start(self, jitter: Callable[[], float] = lambda: 0.5) -> None:
        time = self.time
        self.references = References(
            self.kube,
            Digests(b"k" * 32),
            self.told.append,
            schedule=Schedule(per_second=LOOKS_PER_SECOND, clock=time.clock, sleep=time.sleep, jitter=jitter),
        )

    def slow(self) -> Slow:
        """Have an API server that answers when told so."""
        self.kube = slow = Slow()
        self.start()
        return slow

    async def resolve(self, server: Key = DOCS, *references: Reference) -> Resolved:
        return await self.references.resolve(server, references or (TOKEN,))

    def asked(self) -> list[str]:
        """The requests since the last call."""
        asked, self.kube.requests = self.kube.requests, []
        return asked

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.references.run())
        await settle()
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()


@pytest.fixture
def world() -> World:
    return World()


# --- what is missing ---


async def test_all_there(world: World) -> None:
    world.kube.create(secret(bearer="s3cret"))
    resolved = await world.resolve()
    assert resolved.problems == ()
    assert len(resolved.digest) == 41
    assert world.asked() == ["get Secret"]


async def test_memory_answers_from_then_on(world: World) -> None:
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
async def test_what_is_missing_is_named(world: World, data: dict[str, str] | None, problem: str) -> None:
    if data is not None:
        world.kube.create(secret(**data))
    assert await world.resolve() == Resolved((f"{FIELD}: {problem}",))


async def test_a_missing_right_is_named(world: World) -> None:
    world.kube.fail["get ConfigMap"] = Forbidden("no")
    resolved = await world.resolve(DOCS, reference("ca.crt", kind=CONFIG_MAP, name="ca", field="spec.ca"))
    (problem,) = resolved.problems
    assert problem == (
        "spec.ca: ConfigMap team/ca can't be read by the operator; "
        "give its role the verb get on configmaps in namespace team"
    )


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


async def test_other_trouble_is_the_worlds(world: World) -> None:
    for error in (Unavailable("away"), Refused("odd")):
        world.start()
        world.kube.fail["get Secret"] = error
        with pytest.raises(type(error)):
            await world.resolve()


async def test_no_references_no_requests(world: World) -> None:
    assert await world.references.resolve(DOCS, ()) == Resolved()
    assert (world.asked(), len(world.references)) == ([], 0)
    await world.resolve()
    await world.references.resolve(DOCS, ())
    assert (len(world.references), world.references._uses) == (0, {})


# --- our own Secret ---


async def test_our_own_secret_is_no_problem_of_the_users(world: World) -> None:
    own = reference(field="", name="docs", own=True)
    assert await world.resolve(DOCS, own) == Resolved()
    world.kube.create(secret("docs", bearer="made"))
    resolved = await world.resolve(DOCS, own)
    assert resolved.digest != "", "what the caller has made since is seen"
    world.asked()
    assert await world.resolve(DOCS, own) == resolved
    assert (world.asked(), world.told) == ([], [])


# --- the digest ---


async def test_the_digest_is_of_what_rolls(world: World) -> None:
    for name in ("a", "b"):
        world.kube.create(secret(name, bearer="1"))
    rolling, other = reference(name="a"), reference(name="b", rolls=False)
    both = await world.resolve(DOCS, rolling, other)
    assert both.digest == (await world.resolve(DOCS, rolling)).digest != ""
    assert (await world.resolve(DOCS, other)).digest == ""


async def test_the_digest_outlives_a_restart_and_changes_of_nothing(world: World) -> None:
    world.kube.create(secret(bearer="s3cret"))
    before = await world.resolve()
    world.kube.remove("Secret", TOKENS)
    world.kube.create({**secret(bearer="s3cret", more="x"), "immutable": True})
    world.start()
    assert await world.resolve() == before


# --- who is told of what ---


async def settled(world: World, *servers: Key, **data: str) -> None:
    """A Secret, servers that use its key `bearer`, and a poll at which nothing had changed."""
    world.kube.create(secret(**data))
    for server in servers:
        await world.resolve(server)
    world.asked()


async def test_a_changed_value_is_told_to_all_that_use_it(world: World) -> None:
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


async def test_what_is_in_an_unchanged_object_is_not_fetched(world: World) -> None:
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
async def test_what_appears_is_told_soon(world: World, data: dict[str, str]) -> None:
    await world.resolve()
    async with world.polling():
        await world.time.pass_by(11)
        assert world.told == []
        world.kube.create(secret(**data))
        await world.time.pass_by(11)
        assert world.told == [DOCS]
    resolved = await world.resolve()
    assert (resolved.digest != "") == ("bearer" in data)


async def test_what_goes_is_told(world: World) -> None:
    await settled(world, DOCS, bearer="s3cret")
    world.kube.remove("Secret", TOKENS)
    async with world.polling():
        await world.time.pass_by(31)
    assert world.told == [DOCS]
    assert "doesn't exist" in (await world.resolve()).problems[0]


async def test_a_right_that_goes_and_comes_back_is_told(world: World) -> None:
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


async def test_a_newcomer_that_finds_a_change_has_it_told_to_the_others(world: World) -> None:
    await settled(world, DOCS, bearer="old", other="1")
    world.kube.edit("Secret", TOKENS, data=secret(bearer="new", other="1")["data"])
    await world.resolve(WIKI, reference("other"), TOKEN)
    assert world.told == [DOCS]


async def test_what_is_used_no_longer_is_looked_at_no_longer(world: World) -> None:
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


async def test_who_has_left_is_not_told(world: World) -> None:
    await settled(world, DOCS, WIKI, bearer="1")
    world.references.forget(DOCS)
    world.kube.edit("Secret", TOKENS, data={})
    async with world.polling():
        await world.time.pass_by(31)
    assert world.told == [WIKI]


# --- trouble, crowds, secrecy ---


async def test_servers_that_come_at_once_share_one_request(world: World) -> None:
    slow = world.slow()
    slow.create(secret(bearer="1"))
    slow.hold()
    servers = [Key("team", f"s{number}") for number in range(20)]
    resolving = asyncio.gather(*(world.resolve(server) for server in servers))
    await settle()
    slow.free.set()
    assert (len(set(await resolving)), world.asked(), world.told) == (1, ["get Secret"], [])


async def test_who_comes_during_a_poll_shares_its_request(world: World) -> None:
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


async def test_an_object_that_is_left_during_a_poll_is_looked_at_no_more(world: World) -> None:
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


async def test_a_key_that_could_not_be_looked_up_is_later(world: World) -> None:
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


async def test_a_secret_stays_one(world: World) -> None:
    """Neither what is kept nor what is logged holds a value, in any form that gives it away."""
    value = "hunter2-hunter2"
    with structlog.testing.capture_logs() as logs:
        await settled(world, DOCS, bearer=value)
        resolved = await world.resolve()
    kept = repr((logs, resolved, world.references._objects, world.references._uses, vars(world.references)))
    for form in (value, base64.b64encode(value.encode()).decode(), value.encode().hex(), str(value.encode())):
        assert form not in kept
    assert resolved.digest in kept
