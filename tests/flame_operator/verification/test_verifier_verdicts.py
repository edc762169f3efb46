"""Which verdict a server has after its checks, and when others hear of a change."""

from dataclasses import replace

from flame_operator.resource.kinds import Key
from flame_operator.resource.status import ServerInfo
from flame_operator.verification.verdict import Target, Verdict
from tests.support.operator.verifier_lab import GOOD, KEY, bad, laboratory, target
from tests.support.operator.virtual_time import virtually


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
async def test_one_failure_is_no_verdict_on_a_new_server() -> None:
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
async def test_a_bad_server_whose_message_differs_each_time_is_reported_once() -> None:
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
async def test_a_change_of_tools_is_reported() -> None:
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
async def test_a_new_revision_restarts_the_interval_and_the_count_of_failures() -> None:
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
async def test_a_bug_in_a_check_affects_no_other_server_and_gives_no_verdict() -> None:
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
