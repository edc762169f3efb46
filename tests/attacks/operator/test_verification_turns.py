"""Attacks 4 and 5 (H3, H4): one tenant's servers hold the verifier, by hanging or by being asked again soon.

Before, a namespace could hold all 128 checks that run at once, and a server that sends too much was asked
again after 2 s, 4 s and so on up to a minute.
"""

from collections import Counter
from dataclasses import replace

import pytest

from flame_operator.resource.kinds import Key
from flame_operator.verification.verdict import Target, Verdict
from flame_operator.verification.verifier import CONCURRENCY, SHARES
from tests.support.operator.verifier_lab import GOOD, KEY, Lab, bad, laboratory, target
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
async def test_a_namespace_whose_servers_hang_holds_one_share_of_the_checks() -> None:
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
        assert most["hostile"] == CONCURRENCY // SHARES == 16
        assert all(lab.verifier.verdict(Key("honest", f"docs-{n}")) == GOOD for n in range(20))
        # It goes on at its own pace.
        await lab.until(900)
        assert len(lab.checks) > 1000


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
