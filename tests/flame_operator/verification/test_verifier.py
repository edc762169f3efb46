"""When servers are checked and what is made of it, in virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flame_operator.resource.kinds import Key
from flame_operator.resource.status import ServerInfo
from flame_operator.verification.verdict import Finding, Target, Verdict
from flame_operator.verification.verifier import (
    FRESH_IN_A_ROW,
    LONGEST_RETRY_SECONDS,
    SETTLE_SECONDS,
    Verifier,
)
from tests.support.operator.virtual_time import run_virtually, virtually

KEY = Key("team", "docs")
INTERVAL = 600.0
GOOD = Verdict(True, False, Finding.ANSWERING, "It answers.")


def target(revision: str = "1", interval: float = INTERVAL) -> Target:
    return Target("http://10.0.0.7:80", "docs.team.svc", "None", "q", 1, interval, revision)


def bad(message: str = "refused") -> Verdict:
    return Verdict(False, False, Finding.NOT_ANSWERING, message)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - spreads load


class Lab:
    """A verifier, its probe, and what happened. `answers` gives a verdict, or seconds and a verdict."""

    def __init__(self, per_second: float, concurrency: int, jitter: Callable[[], float]) -> None:
        self.answer: Callable[[Target], Verdict] = lambda _: GOOD
        self.takes: Callable[[Target], float] = lambda _: 0.0
        self.checks: list[tuple[float, Target]] = []
        self.changes: list[tuple[float, Key]] = []
        self.observed: list[tuple[Finding, float]] = []
        self.running = self.most = 0
        self.verifier = Verifier(
            self.probe,
            per_second=per_second,
            concurrency=concurrency,
            on_change=lambda key: self.changes.append((self.now, key)),
            observe=lambda finding, seconds: self.observed.append((finding, seconds)),
            jitter=jitter,
        )

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def probe(self, wanted: Target) -> Verdict:
        self.checks.append((self.now, wanted))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.takes(wanted))
            return self.answer(wanted)
        finally:
            self.running -= 1

    @property
    def times(self) -> list[float]:
        return [round(time, 3) for time, _ in self.checks]

    async def until(self, time: float) -> None:
        await asyncio.sleep(time - self.now)


@asynccontextmanager
async def laboratory(
    *, per_second: float = 10, concurrency: int = 128, jitter: Callable[[], float] = lambda: 0.5
) -> AsyncIterator[Lab]:
    lab = Lab(per_second, concurrency, jitter)
    task = asyncio.create_task(lab.verifier.run())
    try:
        yield lab
    finally:
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError), result


@virtually
async def test_a_new_server_is_checked_soon_and_then_again_and_again() -> None:
    async with laboratory() as lab:
        assert lab.verifier.verdict(KEY) is None
        lab.verifier.want(KEY, target())
        await lab.until(1201)
        assert lab.times == [0.5, 600.5, 1200.5]
        assert lab.verifier.verdict(KEY) == GOOD
        # The verdict changed once: from none to good.
        assert lab.changes == [(0.5, KEY)]
        assert lab.observed == [(Finding.ANSWERING, 0.0)] * 3


@virtually
async def test_wanting_the_same_again_changes_nothing() -> None:
    async with laboratory() as lab:
        for _ in range(10):
            lab.verifier.want(KEY, target())
        await lab.until(300)
        lab.verifier.want(KEY, target())
        lab.verifier.want(KEY, target(), known_good=True)
        await lab.until(1201)
        assert lab.times == [0.5, 600.5, 1200.5]


@virtually
async def test_a_restart_checks_what_was_good_in_the_course_of_the_interval() -> None:
    async with laboratory(jitter=seeded(1).random) as lab:
        for n in range(1000):
            lab.verifier.want(Key(f"ns-{n}", "docs"), target(str(n)), known_good=True)
        await lab.until(INTERVAL + 1)
        first = {wanted.revision: time for time, wanted in reversed(lab.checks)}
        assert len(first) == 1000
        minutes = Counter(int(time // 60) for time in first.values())
        assert all(60 <= minutes[minute] <= 140 for minute in range(10))


@virtually
async def test_a_good_server_turns_bad_with_the_second_failure_and_good_with_the_first_success() -> None:
    async with laboratory() as lab:
        lab.verifier.want(KEY, target())
        await lab.until(10)
        lab.answer = lambda _: bad()
        await lab.until(601)
        assert lab.times == [0.5, 600.5]
        assert lab.verifier.verdict(KEY) == GOOD
        await lab.until(603)
        assert lab.times == [0.5, 600.5, 602.5]
        assert lab.verifier.verdict(KEY) == bad()
        lab.answer = lambda _: GOOD
        await lab.until(607)
        assert lab.times == [0.5, 600.5, 602.5, 606.5]
        assert lab.verifier.verdict(KEY) == GOOD
        assert [round(time, 3) for time, _ in lab.changes] == [0.5, 602.5, 606.5]


@virtually
async def test_one_failure_alone_tells_nothing_of_a_new_server_either() -> None:
    async with laboratory() as lab:
        lab.answer = lambda _: bad()
        lab.verifier.want(KEY, target())
        await lab.until(1)
        assert lab.verifier.verdict(KEY) is None
        lab.answer = lambda _: GOOD
        await lab.until(3)
        assert lab.verifier.verdict(KEY) == GOOD
        assert len(lab.changes) == 1


@virtually
async def test_failures_are_repeated_ever_more_rarely() -> None:
    async with laboratory() as lab:
        lab.answer = lambda _: bad()
        lab.verifier.want(KEY, target())
        await lab.until(300)
        gaps = [round(b - a, 3) for a, b in zip(lab.times, lab.times[1:], strict=False)]
        assert gaps[:6] == [2, 4, 8, 16, 32, 60]
        assert set(gaps[6:]) == {LONGEST_RETRY_SECONDS}
        assert len(lab.changes) == 1


@virtually
async def test_no_retry_comes_later_than_the_next_check_would() -> None:
    async with laboratory() as lab:
        lab.answer = lambda _: bad()
        lab.verifier.want(KEY, target(interval=5))
        await lab.until(60)
        assert max(b - a for a, b in zip(lab.times, lab.times[1:], strict=False)) <= 5.001


@virtually
async def test_a_bad_server_that_says_something_else_each_time_changes_nothing() -> None:
    async with laboratory() as lab:
        lab.answer = lambda _: bad(f"trouble {len(lab.checks)}")
        lab.verifier.want(KEY, target())
        await lab.until(3600)
        assert len(lab.checks) > 50
        assert lab.verifier.verdict(KEY) == bad("trouble 2")
        lab.answer = lambda _: bad("another trouble")
        await lab.until(3800)
        assert lab.verifier.verdict(KEY) == bad("another trouble")
        assert len(lab.changes) == 2


@virtually
async def test_other_tools_are_a_change() -> None:
    async with laboratory() as lab:
        lab.verifier.want(KEY, target())
        await lab.until(10)
        more = replace(GOOD, server=ServerInfo("flame-mcp", "2", "2025-11-25", ("a", "b")))
        lab.answer = lambda _: more
        await lab.until(601)
        assert lab.verifier.verdict(KEY) == more
        assert len(lab.changes) == 2


@virtually
async def test_a_new_revision_is_checked_soon_and_the_old_verdict_stands_until_then() -> None:
    async with laboratory() as lab:
        lab.verifier.want(KEY, target("1"))
        await lab.until(100)
        lab.answer = lambda _: bad()
        lab.verifier.want(KEY, target("2"))
        assert lab.verifier.verdict(KEY) == GOOD
        await lab.until(101)
        assert lab.times == [0.5, 100.5]
        assert lab.checks[-1][1].revision == "2"
        assert lab.verifier.verdict(KEY) == GOOD
        await lab.until(103)
        assert lab.verifier.verdict(KEY) == bad()


@virtually
async def test_a_new_revision_begins_a_new_count_of_time_and_failures() -> None:
    async with laboratory() as lab:
        lab.verifier.want(KEY, target("1"))
        await lab.until(100)
        lab.verifier.want(KEY, target("2"))
        await lab.until(700)
        assert lab.times == [0.5, 100.5]
        lab.answer = lambda _: bad()
        await lab.until(701)
        lab.verifier.want(KEY, target("3"))
        await lab.until(702)
        assert lab.times == [0.5, 100.5, 700.5, 701.5]
        assert lab.verifier.verdict(KEY) == GOOD
        await lab.until(704)
        assert lab.verifier.verdict(KEY) == bad()


@virtually
async def test_a_check_of_an_old_revision_says_nothing_of_the_new_one() -> None:
    async with laboratory() as lab:
        lab.takes = lambda wanted: 5.0 if wanted.revision == "1" else 0.0
        lab.answer = lambda wanted: replace(GOOD, message=wanted.revision)
        lab.verifier.want(KEY, target("1"))
        await lab.until(2)
        lab.verifier.want(KEY, target("2"))
        await lab.until(5)
        assert lab.times == [0.5]
        await lab.until(7)
        assert lab.times == [0.5, 6.0]
        assert lab.changes == [(6.0, KEY)]
        verdict = lab.verifier.verdict(KEY)
        assert verdict is not None
        assert verdict.message == "2"


@virtually
async def test_a_dropped_server_is_forgotten_wherever_it_was() -> None:
    async with laboratory() as lab:
        lab.verifier.drop(KEY)  # unknown: nothing to do
        lab.takes = lambda _: 5.0
        lab.verifier.want(KEY, target())
        await lab.until(1)
        lab.verifier.drop(KEY)  # while it is checked
        await lab.until(10)
        assert (lab.verifier.verdict(KEY), lab.changes) == (None, [])
        lab.verifier.want(KEY, target())
        lab.verifier.drop(KEY)  # while it waits for its time
        await lab.until(1000)
        assert len(lab.checks) == 1
        assert lab.verifier.servers == 0


@virtually
async def test_a_server_that_comes_back_while_it_is_checked_is_checked_anew() -> None:
    async with laboratory() as lab:
        lab.takes = lambda _: 5.0
        lab.answer = lambda wanted: replace(GOOD, message=wanted.revision)
        lab.verifier.want(KEY, target("1"))
        await lab.until(1)
        lab.verifier.drop(KEY)
        lab.verifier.want(KEY, target("2"))
        await lab.until(100)
        assert lab.times == [0.5, 1.5]
        assert lab.changes == [(6.5, KEY)]


@virtually
async def test_a_bug_in_a_check_harms_nobody_else_and_says_nothing_of_the_server() -> None:
    async with laboratory() as lab:

        def answer(wanted: Target) -> Verdict:
            if wanted.revision == "broken" and lab.now < 1000:
                raise RuntimeError("a bug")
            return GOOD

        lab.answer = answer
        lab.verifier.want(Key("a", "broken"), target("broken"))
        lab.verifier.want(Key("b", "docs"), target())
        await lab.until(601)
        assert lab.verifier.verdict(Key("a", "broken")) is None
        assert lab.verifier.verdict(Key("b", "docs")) == GOOD
        # Once more after each interval: a bug in the operator is no reason to hurry.
        assert [round(time, 1) for time, wanted in lab.checks if wanted.revision == "broken"] == [0.5, 600.5]
        await lab.until(1300)
        assert lab.verifier.verdict(Key("a", "broken")) == GOOD


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
