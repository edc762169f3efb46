"""Many servers share one budget of checks, and no tenant delays another."""

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flame_operator.resource.kinds import Key
from flame_operator.verification.verdict import Target
from flame_operator.verification.verifier import FRESH_IN_A_ROW, SETTLE_SECONDS
from tests.support.operator.verifier_lab import GOOD, bad, laboratory, seeded, target
from tests.support.operator.virtual_time import run_virtually, virtually


@virtually
async def test_a_rush_is_spread_and_a_dropped_server_leaves_it() -> None:
    async with laboratory(per_second=10) as lab:
        for n in range(200):
            lab.verifier.want(Key("team", f"docs-{n}"), target())
        await lab.until(10.45)
        assert len(lab.checks) == 100
        assert lab.verifier.waiting == 100
        for n in range(200):
            lab.verifier.drop(Key("team", f"docs-{n}"))
        assert lab.verifier.waiting == 0
        await lab.until(100)
        assert len(lab.checks) == 100


@virtually
async def test_new_servers_go_first_but_do_not_starve_the_others() -> None:
    async with laboratory(per_second=1) as lab:
        for n in range(50):
            lab.verifier.want(Key(f"old-{n}", "docs"), target("old"), known_good=True)
        await lab.until(299)
        assert not lab.checks
        for n in range(100):
            lab.verifier.want(Key(f"new-{n}", "docs"), target("new"))
        await lab.until(340)
        kinds = [wanted.revision for _, wanted in lab.checks]
        assert kinds[:8] == ["new", "new", "new", "old", "new", "new", "new", "old"]
        assert FRESH_IN_A_ROW == 3


@virtually
async def test_a_tenant_with_a_thousand_servers_delays_nobody() -> None:
    async with laboratory(per_second=10) as lab:
        for n in range(1000):
            lab.verifier.want(Key("big", f"docs-{n}"), target("big"))
        await lab.until(5)
        lab.verifier.want(Key("small", "docs"), target("small"))
        await lab.until(10)
        (at,) = (time for time, wanted in lab.checks if wanted.revision == "small")
        assert at <= 5 + SETTLE_SECONDS + 0.2


@virtually
async def test_a_tenant_whose_servers_hang_delays_nobody() -> None:
    async with laboratory(per_second=10) as lab:
        lab.takes = lambda wanted: 10.0 if wanted.revision == "hangs" else 0.01
        lab.answer = lambda wanted: bad() if wanted.revision == "hangs" else GOOD
        for n in range(1000):
            lab.verifier.want(Key("hanging", f"docs-{n}"), target("hangs"))
        await lab.until(100)
        for n in range(20):
            lab.verifier.want(Key(f"small-{n}", "docs"), target("small"))
        await lab.until(104)
        assert len([wanted for _, wanted in lab.checks if wanted.revision == "small"]) == 20


@virtually
async def test_servers_that_stay_bad_do_not_go_before_good_ones() -> None:
    async with laboratory(per_second=1, jitter=seeded(1).random) as lab:
        lab.answer = lambda wanted: bad() if wanted.revision == "bad" else GOOD
        for n in range(200):
            lab.verifier.want(Key("bad", f"docs-{n}"), target("bad"))
        await lab.until(600)
        for n in range(50):
            lab.verifier.want(Key(f"good-{n}", "docs"), target("good", interval=60), known_good=True)
        await lab.until(1200)
        assert len([wanted for _, wanted in lab.checks if wanted.revision == "good"]) > 400


Step = tuple[str, int, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 30), st.integers(0, 3)),
        st.tuples(st.just("known"), st.integers(0, 30), st.integers(0, 3)),
        st.tuples(st.just("drop"), st.integers(0, 30), st.none()),
        st.tuples(st.just("pass"), st.integers(1, 60), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(
    steps=STEPS,
    per_second=st.sampled_from([0.5, 2.0, 10.0]),
    concurrency=st.sampled_from([1, 2, 64]),
    seed=st.integers(0, 1000),
)
def test_the_budget_holds_and_every_wanted_server_gets_its_verdict(
    steps: list[Step], per_second: float, concurrency: int, seed: int
) -> None:
    """Whatever is wanted and dropped when; a third of the servers fail, another third takes long."""

    async def scenario() -> None:
        chance = seeded(seed)
        async with laboratory(per_second=per_second, concurrency=concurrency, jitter=chance.random) as lab:
            lab.answer = lambda wanted: (
                bad() if wanted.host.startswith("0") else replace(GOOD, message=wanted.revision)
            )
            lab.takes = lambda wanted: 1.0 if wanted.host.startswith("1") else 0.0
            wanted: dict[Key, Target] = {}
            for what, number, more in steps:
                key = Key(f"ns-{number % 7}", f"docs-{number}")
                match what:
                    case "want" | "known":
                        wanted[key] = replace(target(str(more), interval=60.0), host=f"{number % 3}")
                        lab.verifier.want(key, wanted[key], known_good=what == "known")
                    case "drop":
                        wanted.pop(key, None)
                        lab.verifier.drop(key)
                    case "pass":
                        await asyncio.sleep(number)
            assert lab.verifier.servers == len(wanted)
            # 31 servers, a slow third of them at one a second: three rounds are over by then.
            await asyncio.sleep(3 * (60 * 1.2 + 31 / per_second + 11) + 20)
            for key, its in wanted.items():
                expected = bad() if its.host == "0" else replace(GOOD, message=its.revision)
                assert lab.verifier.verdict(key) == expected
            gaps = [b - a for (a, _), (b, _) in zip(lab.checks, lab.checks[1:], strict=False)]
            assert all(gap >= 1 / per_second - 1e-6 for gap in gaps)
            assert lab.most <= concurrency

    run_virtually(scenario())
