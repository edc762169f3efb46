"""The election with a clock and a Lease that the test controls."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flame_operator.errors import Conflict, LostLease, Refused, Unavailable, UserError
from flame_operator.leadership.election import LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, Alone, is_free
from tests.support.operator.fake_lease import FakeTime, Process, Store

Start = Callable[..., Process]
DOWN = Unavailable("down")
MOMENT = 0.01


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def start(store: Store, time: FakeTime) -> Any:  # noqa: ANN401 - an async generator of a function
    processes: list[Process] = []

    def begin(identity: str, stamp: str = "2026-01-01") -> Process:
        processes.append(Process(identity, store, time, stamp))
        return processes[-1]

    yield begin
    for process in processes:
        process.task.cancel()
    await asyncio.gather(*(process.task for process in processes), return_exceptions=True)


def spec(store: Store) -> dict[str, Any]:
    assert store.lease is not None
    found: dict[str, Any] = store.lease["spec"]
    return found


async def test_the_first_one_makes_the_lease_and_keeps_it(store: Store, time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(MOMENT)
    assert spec(store) == {
        "holderIdentity": "one",
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": "2026-01-01",
        "acquireTime": "2026-01-01",
        "leaseTransitions": 0,
    }
    two = start("two")
    seen = []
    time.checks.append(lambda: seen.append((one.leads(), two.leads())))
    await time.run(100)
    assert set(seen) == {(True, False)}
    assert set(store.writes) == {"one"}


async def test_of_several_that_start_at_once_one_leads(store: Store, time: FakeTime, start: Start) -> None:
    processes = [start(name) for name in ("one", "two", "three")]
    await time.run(30)
    assert [process.leads() for process in processes].count(True) == 1
    assert len(set(store.writes)) == 1


async def test_after_a_crash_another_one_takes_over_in_time(
    store: Store, time: FakeTime, start: Start
) -> None:
    one = start("one")
    await time.run(10.5)
    two = start("two")
    await time.run(3)
    one.kill()
    crashed = time.now
    await time.run(LEASE_SECONDS - RETRY_SECONDS - MOMENT)
    assert not two.leads()
    while not two.leads():
        await time.run(0.1)
    assert time.now - crashed <= LEASE_SECONDS + 2 * RETRY_SECONDS
    assert spec(store)["leaseTransitions"] == 1


@pytest.mark.parametrize("stamp", ["1970-01-01", "2999-01-01"])
async def test_wall_clocks_decide_nothing(time: FakeTime, start: Start, stamp: str) -> None:
    one = start("one", stamp)
    await time.run(1)
    two = start("two")
    await time.run(100)
    assert (one.leads(), two.leads()) == (True, False)


async def test_a_lease_given_back_is_taken_at_once(store: Store, time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(MOMENT)
    two = start("two")
    await time.run(5)
    await one.stop()
    assert not one.leads()
    assert (spec(store)["holderIdentity"], spec(store)["leaseDurationSeconds"]) == ("", 1)
    await time.run(RETRY_SECONDS)
    assert two.leads()
    assert spec(store)["leaseDurationSeconds"] == LEASE_SECONDS


async def test_a_process_that_comes_back_under_its_name_leads_at_once(time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(5)
    one.kill()
    again = start("one")
    await time.run(MOMENT)
    assert again.leads()


async def test_who_can_not_renew_stops_writing_before_another_one_begins(
    time: FakeTime, start: Start
) -> None:
    one = start("one")
    await time.run(MOMENT)
    two = start("two")
    await time.run(20)
    one.leases.error, cut_off = DOWN, time.now
    await time.run(RENEW_SECONDS)
    assert not one.leads()
    await time.run(RETRY_SECONDS)
    with pytest.raises(LostLease, match="could not be renewed for 5 s"):
        one.task.result()
    assert not two.leads()
    while not two.leads():
        await time.run(0.1)
    assert time.now - cut_off > RENEW_SECONDS + 1


async def test_failed_renewals_in_between_are_survived(time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(MOMENT)
    for error in (DOWN, Refused("forbidden"), Conflict("changed")):
        one.leases.error = error
        await time.run(RENEW_SECONDS - 2 * RETRY_SECONDS)
        one.leases.error = None
        await time.run(2 * RETRY_SECONDS)
        assert one.leads()


async def test_a_slow_renewal_counts_from_its_start(time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(MOMENT)
    one.leases.delay = 2.0
    await time.run(RETRY_SECONDS + 2.0)
    assert one.leader.valid_for() == pytest.approx(RENEW_SECONDS - 2.0, abs=2 * MOMENT)


async def test_a_renewal_whose_answer_gets_lost_is_recognised(time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(MOMENT)
    one.leases.answers_lost = True
    await time.run(3)
    one.leases.answers_lost = False
    await time.run(10)
    assert one.leads()


async def test_who_finds_another_holder_stops_at_once(store: Store, time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(MOMENT)
    store.put({**spec(store), "holderIdentity": "other"})
    await time.run(RETRY_SECONDS)
    assert not one.leads()
    with pytest.raises(LostLease, match="held by other"):
        one.task.result()
    writes = len(store.writes)
    await one.leader.release()
    assert len(store.writes) == writes
    assert store.holder == "other"


async def test_a_deleted_lease_is_put_back_before_anybody_takes_it(
    store: Store, time: FakeTime, start: Start
) -> None:
    one = start("one")
    await time.run(RETRY_SECONDS / 2)
    two = start("two")
    # The standby looks sooner than the leader renews.
    await time.run(5.75 * RETRY_SECONDS)
    store.lease = None
    seen = []
    time.checks.append(lambda: seen.append((one.leads(), two.leads())))
    await time.run(20)
    assert set(seen) == {(True, False)}
    assert store.holder == "one"


async def test_a_process_that_stood_still_does_not_even_try_to_renew(
    store: Store, time: FakeTime, start: Start
) -> None:
    one = start("one")
    await time.run(2.5)
    writes = len(store.writes)
    time.now += RENEW_SECONDS
    await time.run(MOMENT)
    with pytest.raises(LostLease):
        one.task.result()
    assert len(store.writes) == writes


async def test_a_standby_that_was_cut_off_counts_anew(time: FakeTime, start: Start) -> None:
    one = start("one")
    await time.run(MOMENT)
    two = start("two")
    await time.run(3)
    two.leases.error = DOWN
    await time.run(100)
    two.leases.error = None
    await time.run(20)
    assert (one.leads(), two.leads()) == (True, False)


async def test_a_standby_is_in_contact_once_the_api_server_has_answered(time: FakeTime, start: Start) -> None:
    one = start("one")
    one.leases.error = DOWN
    await time.run(5)
    contact = [one.leader.in_contact]
    one.leases.error = None
    await time.run(RETRY_SECONDS)
    assert [*contact, one.leader.in_contact] == [False, True]
    assert one.leads()


async def test_missing_rights_are_explained(time: FakeTime, start: Start) -> None:
    one = start("one")
    one.leases.error = Refused("leases is forbidden")
    await time.run(MOMENT)
    with pytest.raises(UserError, match="RBAC"):
        one.task.result()


@pytest.mark.parametrize("error", [DOWN, Refused("forbidden"), Conflict("changed")])
async def test_a_failed_release_ends_the_right_to_write(
    time: FakeTime, start: Start, error: Exception
) -> None:
    one = start("one")
    await time.run(MOMENT)
    one.leases.error = error
    await one.stop()
    assert not one.leads()


async def test_a_release_survives_a_renewal_that_was_cut_off(
    store: Store, time: FakeTime, start: Start
) -> None:
    one = start("one")
    await time.run(MOMENT)
    store.put({**spec(store), "renewTime": "later"})
    await one.stop()
    assert store.holder == ""


def test_a_holder_that_asks_for_more_gets_more() -> None:
    lease = {"holderIdentity": "other", "leaseDurationSeconds": 30}
    assert not is_free(lease, "me", 29)
    assert is_free(lease, "me", 30)


async def test_alone_there_is_nothing_to_wait_for() -> None:
    alone = Alone()
    await alone.acquire()
    assert alone.valid_for() > 1e9
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(alone.hold(), 0.01)
    await alone.release()


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["cut off", "lose answers", "slow", "heal", "kill", "stop", "nothing"]),
        st.integers(0, 2),
        st.floats(0.1, 12),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(actions=ACTIONS)
async def test_never_do_two_lead(actions: list[tuple[str, int, float]]) -> None:
    time, store, names = FakeTime(), Store(), iter(f"process-{number}" for number in range(1000))
    processes = [Process(next(names), store, time) for _ in range(3)]

    def check() -> None:
        assert sum(process.leads() for process in processes) <= 1

    time.checks.append(check)
    for action, index, seconds in actions:
        await act(action, processes[index])
        if action in ("kill", "stop"):
            processes[index] = Process(next(names), store, time)
        await time.run(seconds)
    for process in processes:
        process.leases.heal()
    if any(not process.task.done() for process in processes):
        await time.run(3 * LEASE_SECONDS)
        assert sum(process.leads() for process in processes) == 1
    for process in processes:
        process.task.cancel()
    await asyncio.gather(*(process.task for process in processes), return_exceptions=True)


async def act(action: str, process: Process) -> None:
    match action:
        case "cut off":
            process.leases.error = DOWN
        case "lose answers":
            process.leases.answers_lost = True
        case "slow":
            process.leases.delay = 1.5
        case "heal":
            process.leases.heal()
        case "kill":
            process.kill()
        case "stop":
            process.leases.delay = 0.0
            await process.stop()
