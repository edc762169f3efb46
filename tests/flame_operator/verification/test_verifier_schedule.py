"""When a server is checked for the first time, again, sooner after failures, and no longer."""

from collections import Counter
from dataclasses import replace

from flame_operator.resource.kinds import Key
from flame_operator.verification.verdict import Finding
from flame_operator.verification.verifier import LONGEST_RETRY_SECONDS
from tests.support.operator.verifier_lab import GOOD, INTERVAL, KEY, bad, laboratory, seeded, target
from tests.support.operator.virtual_time import virtually


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
async def test_after_a_restart_checks_of_good_servers_spread_over_the_interval() -> None:
    async with laboratory(jitter=seeded(1).random) as lab:
        for n in range(1000):
            lab.verifier.want(Key(f"ns-{n}", "docs"), target(str(n)), known_good=True)
        await lab.until(INTERVAL + 1)
        first = {wanted.revision: time for time, wanted in reversed(lab.checks)}
        assert len(first) == 1000
        minutes = Counter(int(time // 60) for time in first.values())
        assert all(60 <= minutes[minute] <= 140 for minute in range(10))


@virtually
async def test_a_failing_server_is_checked_less_and_less_often() -> None:
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
