"""Attacks 4 and 5 (H3, H4): one tenant's servers hold the verifier: they hang, or are always urgent.

Before, a namespace could hold all 128 checks that run at once, and a server that sends too much was asked
again after 2 s, 4 s and so on up to a minute.
"""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from flame_operator.resource.kinds import Key
from flame_operator.shares import REMEMBERED
from flame_operator.verification.verdict import Target, Verdict
from flame_operator.verification.verifier import CONCURRENCY, FRESH_BURST
from tests.support.operator.verifier_lab import GOOD, KEY, Lab, bad, laboratory, seeded, target
from tests.support.operator.virtual_time import run_virtually, virtually

TOO_MUCH = replace(bad("It sends too much."), overrun=True)


def most_at_once(lab: Lab) -> Counter[str]:
    """Makes the lab note how many checks of each tenant run at once; the revision names the tenant."""
    probe, running, most = lab.probe, Counter[str](), Counter[str]()

    async def counted(wanted: Target) -> Verdict:
        tenant = wanted.revision
        running[tenant] += 1
        most[tenant] = max(most[tenant], running[tenant])
        try:
            return await probe(wanted)
        finally:
            running[tenant] -= 1

    lab.verifier._probe = counted
    return most


@virtually
async def test_a_namespace_whose_servers_hang_leaves_a_quarter_of_the_checks() -> None:
    async with laboratory(per_second=100) as lab:
        most = most_at_once(lab)
        lab.takes = lambda wanted: 10.0 if wanted.revision == "hostile" else 0.01
        lab.answer = lambda wanted: bad() if wanted.revision == "hostile" else GOOD
        for n in range(1000):
            lab.verifier.want(Key("hostile", f"docs-{n}"), target("hostile"))
        await lab.until(50)
        for n in range(20):
            lab.verifier.want(Key("honest", f"docs-{n}"), target("honest"))
        await lab.until(52)
        assert most["hostile"] == CONCURRENCY * 3 // 4 == 96
        assert all(lab.verifier.verdict(Key("honest", f"docs-{n}")) == GOOD for n in range(20))
        # It goes on at its own pace.
        await lab.until(900)
        assert len(lab.checks) > 1000


@virtually
async def test_a_dozen_namespaces_whose_servers_hang_leave_checks_for_a_newcomer() -> None:
    """As many checks start as would fill all slots: the shares shrink, and a newcomer waits for none."""
    async with laboratory(per_second=100) as lab:
        most = most_at_once(lab)
        lab.takes = lambda wanted: 10.0 if wanted.revision.startswith("hostile") else 0.01
        for n in range(12):
            for m in range(100):
                lab.verifier.want(Key(f"hostile-{n}", f"docs-{m}"), target(f"hostile-{n}"))
        for newcomer in range(100):
            await lab.until(50 + newcomer)
            lab.verifier.want(Key(f"new-{newcomer}", "docs"), target(f"new-{newcomer}"))
        await lab.until(160)
        began = {wanted.revision: at for at, wanted in lab.checks if wanted.revision.startswith("new")}
        assert max(began[f"new-{newcomer}"] - 50 - newcomer for newcomer in range(100)) < 1
        assert lab.most <= CONCURRENCY
        assert most["hostile-0"] < CONCURRENCY


async def changing(lab: Lab, seconds: float) -> None:
    """A tenant changes the query of a hundred servers all the time."""
    changes = 0
    end = lab.now + seconds
    while lab.now < end:
        for n in range(100):
            changes += 1
            lab.verifier.want(Key("hostile", f"docs-{n}"), target(f"hostile-{changes}"))
        await lab.until(lab.now + 1.5)


def count(lab: Lab, tenant: str) -> int:
    return sum(wanted.revision.startswith(tenant) for _, wanted in lab.checks)


@virtually
async def test_a_namespace_that_changes_its_queries_all_the_time_displaces_nobodys_checks() -> None:
    """It had three quarters of all checks, as each change of a query is checked first."""
    async with laboratory(per_second=1, jitter=seeded(3).random) as lab:
        for n in range(40):
            key = Key(f"honest-{n}", "docs")
            lab.verifier.want(key, target("honest", interval=60), known_good=True)
        await lab.until(600)
        before = count(lab, "honest")
        await changing(lab, 1200)
        assert count(lab, "honest") - before > 1.8 * before
        assert count(lab, "hostile") <= 1200 * (1 / 40 + 0.02) * 1.5 + FRESH_BURST + before


@virtually
async def test_a_new_server_is_checked_at_once_beside_one_that_changes_its_queries() -> None:
    async with laboratory(per_second=1) as lab:
        task = asyncio.create_task(changing(lab, 300))
        await lab.until(200)
        lab.verifier.want(KEY, target("honest"))
        await lab.until(203)
        assert count(lab, "honest") == 1
        await task


@virtually
async def test_two_hundred_new_servers_of_a_namespace_that_is_alone_take_all_checks() -> None:
    async with laboratory(per_second=10) as lab:
        for n in range(200):
            lab.verifier.want(Key("team", f"docs-{n}"), target())
        await lab.until(20.6)
        assert len(lab.changes) == 200


@virtually
async def test_buckets_of_namespaces_that_come_and_go_are_bounded() -> None:
    async with laboratory(per_second=1000) as lab:
        for n in range(REMEMBERED + 100):
            lab.verifier.want(Key(f"team-{n}", "docs"), target())
        await lab.until(10)
        assert len(lab.checks) == REMEMBERED + 100
        assert len(lab.verifier._tokens) == REMEMBERED


@virtually
async def test_ten_namespaces_whose_servers_hang_delay_nobody() -> None:
    async with laboratory() as lab:
        lab.takes = lambda wanted: 10.0 if wanted.revision == "hostile" else 0.01
        for n in range(1000):
            lab.verifier.want(Key(f"hostile-{n % 10}", f"docs-{n}"), target("hostile"))
        await lab.until(100)
        lab.verifier.want(KEY, target("honest"))
        await lab.until(103)
        assert [wanted.revision for _, wanted in lab.checks].count("honest") == 1


@virtually
async def test_a_server_that_sends_too_much_is_asked_again_after_its_interval() -> None:
    async with laboratory() as lab:
        lab.answer = lambda _: TOO_MUCH
        lab.verifier.want(KEY, target())
        await lab.until(1900)
        assert lab.times == [0.5, 600.5, 1200.5, 1800.5]
        # Its owner needn't wait for the second check to learn of it.
        assert lab.verifier.verdict(KEY) == TOO_MUCH
        assert [round(at, 1) for at, _ in lab.changes] == [0.5]


@virtually
async def test_a_new_revision_of_it_is_checked_soon_and_may_be_good() -> None:
    async with laboratory() as lab:
        lab.answer = lambda wanted: TOO_MUCH if wanted.revision == "1" else GOOD
        lab.verifier.want(KEY, target("1"))
        await lab.until(10)
        lab.verifier.want(KEY, target("2"))
        await lab.until(12)
        assert lab.times == [0.5, 10.5]
        assert lab.verifier.verdict(KEY) == GOOD


@virtually
async def test_a_server_that_sends_too_much_in_turn_with_other_failures() -> None:
    async with laboratory() as lab:
        lab.answer = lambda _: TOO_MUCH if len(lab.checks) % 2 else bad(f"trouble {len(lab.checks)}")
        lab.verifier.want(KEY, target())
        await lab.until(3600)
        assert len(lab.checks) < 14
        assert lab.verifier.verdict(KEY) == TOO_MUCH
        assert len(lab.changes) == 1


@pytest.mark.parametrize("concurrency", [1, 4, 128])
def test_a_share_is_at_least_one_check(concurrency: int) -> None:
    async def scenario() -> None:
        async with laboratory(concurrency=concurrency) as lab:
            lab.takes = lambda _: 1.0
            for n in range(5):
                lab.verifier.want(Key("team", f"docs-{n}"), target())
            await lab.until(20)
            assert len(lab.checks) == 5

    run_virtually(scenario())
