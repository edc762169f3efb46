"""Attack H1 on the turns themselves: a hundred hostile namespaces, in virtual time."""

import random
from typing import get_args

import pytest

from flame_operator.ingestion.turns import IDLE_SECONDS, LONGEST_SECONDS, UNSEEN_SECONDS, Turns
from flame_operator.resource.kinds import Key
from flame_operator.workloads.jobs import Activity
from tests.support.operator.fake_time import Clock

HONEST = Key("honest", "docs-0")


def keys(namespace: str, number: int) -> list[Key]:
    return [Key(namespace, str(n)) for n in range(number)]


@pytest.mark.parametrize(
    ("activity", "most_seconds"), [("stuck", 330), ("starting", 1000), ("working", 1000)]
)
def test_a_hundred_namespaces_with_ten_resources_each_that_never_end(
    activity: Activity, most_seconds: float
) -> None:
    """Row 1 from a hundred namespaces that came first: each has one turn, and then the honest one has its."""
    clock = Clock()
    turns = Turns(10, clock=clock)
    evil = [key for number in range(100) for key in keys(f"evil-{number}", 10)]
    began: dict[Key, float] = {}

    def passes() -> None:
        for key in evil:
            if key in began:
                turns.going(key, seconds=clock.now - began[key], activity=activity)
            elif turns.take(key, first=True):
                began[key] = clock.now

    passes()
    assert not turns.take(HONEST, first=True)
    while not turns.take(HONEST, first=True):
        clock.now += 30
        passes()
        assert clock.now <= most_seconds
    assert len(began) <= 132


def test_runs_that_begin_to_work_all_at_once_take_nobodys_turn() -> None:
    """A hundred runs lose their turns because their image is missing, and then the tenant pushes it."""
    clock = Clock()
    turns = Turns(10, clock=clock)
    evil = [key for number in range(10) for key in keys(f"evil-{number}", 10)]
    for key in evil:
        assert turns.take(key)
        turns.going(key, seconds=0, activity="stuck")
    for key in evil:
        turns.going(key, seconds=60, activity="working")
    assert len(turns.held) == 10
    assert not turns.take(HONEST)
    clock.now += LONGEST_SECONDS
    assert turns.take(HONEST)


def test_one_namespace_leaves_turns_for_others_and_gets_at_least_one() -> None:
    for most, shares in ((1, [1, 0, 0]), (2, [1, 1, 0]), (3, [2, 1, 0]), (10, [7, 2, 1]), (40, [30, 7, 2])):
        turns = Turns(most, clock=Clock())
        assert [sum(turns.take(key) for key in keys(name, 50)) for name in "abc"] == shares


def test_namespaces_that_are_there_together_share_the_turns() -> None:
    """One came first and has seven of ten turns; when they end, another one gets as many."""
    clock = Clock()
    turns = Turns(10, clock=clock)
    for key in [*keys("a", 50), *keys("b", 50)]:
        turns.take(key)
    for key in sorted(turns.held):
        clock.now += 1
        turns.release(key)
    counts = [sum(key.namespace == name for key in turns.held) for name in "ab"]
    assert counts == [4, 4]


def test_who_has_waited_longest_is_next_and_one_that_keeps_asking_is_not() -> None:
    told: list[Key] = []
    clock = Clock()
    turns = Turns(2, told.append, clock)
    first, second = Key("a", "1"), Key("b", "1")
    assert turns.take(first)
    assert turns.take(second)
    waiting = [Key("c", "1"), Key("d", "1"), Key("a", "2"), Key("a", "3")]
    for key in waiting:
        clock.now += 1
        assert not turns.take(key)
    for _ in range(10):
        clock.now += 1
        assert not turns.take(Key("a", "3"))
    turns.release(second)
    assert told == [Key("c", "1")]
    turns.release(first)
    assert told == [Key("c", "1"), Key("d", "1")]
    assert turns.take(Key("d", "1"))
    turns.release(Key("c", "1"))
    assert told[2:] == [Key("a", "2")]


def test_a_namespace_with_a_thousand_waiting_gets_every_second_turn_beside_one_other() -> None:
    """Who has waited longest counts from the namespace's last turn: a long line is no advantage."""
    clock = Clock()
    turns = Turns(1, clock=clock)
    for key in keys("loud", 1000):
        turns.take(key)
    order = []
    for _ in range(20):
        clock.now += 1
        turns.take(Key("quiet", f"{clock.now}"))
        (holder,) = turns.held
        order.append(holder.namespace)
        turns.release(holder)
    assert order[1:].count("quiet") >= 9


@pytest.mark.parametrize("asks_again", [True, False])
def test_a_turn_that_is_never_taken_goes_on(asks_again: bool) -> None:
    clock = Clock()
    turns = Turns(1, clock=clock)
    turns.take(Key("a", "1"))
    turns.take(Key("b", "never comes"))
    turns.take(Key("c", "1"))
    turns.release(Key("a", "1"))
    clock.now += IDLE_SECONDS + 1
    assert turns.take(Key("c", "1"))
    if asks_again:
        assert not turns.take(Key("b", "never comes"))


def test_a_turn_ends_when_no_pass_tells_of_it() -> None:
    clock = Clock()
    turns = Turns(1, clock=clock)
    turns.going(Key("a", "1"), seconds=0, activity="working")
    clock.now += UNSEEN_SECONDS + 1
    assert turns.take(Key("b", "1"))


def test_an_idle_run_loses_its_turn_and_gets_a_free_one_when_it_works_again() -> None:
    clock = Clock()
    turns = Turns(1, clock=clock)
    run = Key("a", "1")
    assert turns.take(run)
    clock.now += IDLE_SECONDS - 1
    turns.going(run, seconds=clock.now, activity="starting")
    clock.now += IDLE_SECONDS + 1
    turns.going(run, seconds=clock.now, activity="starting")
    assert turns.held == frozenset()
    turns.going(run, seconds=clock.now, activity="working")
    assert turns.held == {run}


def test_never_more_turns_than_there_are_and_never_one_that_lasts() -> None:
    """Whatever ten tenants do, in any order: bounds hold, and an honest one gets its turn in bounded time."""
    draw = random.Random(14)  # noqa: S311 - no secret
    for _ in range(30):
        clock = Clock()
        most = draw.choice([1, 2, 5, 10])
        turns = Turns(most, clock=clock)
        evil = [Key(f"evil-{draw.randrange(10)}", str(n)) for n in range(40)]
        waits = 0.0
        for _ in range(400):
            key = draw.choice(evil)
            clock.now += draw.choice([0, 1, 30])
            match draw.randrange(4):
                case 0:
                    turns.take(key)
                case 1:
                    activity = draw.choice(get_args(Activity))
                    turns.going(key, seconds=draw.choice([0, 10, 1000]), activity=activity)
                case 2 if draw.random() < 0.2:
                    turns.release(key)
            assert len(turns.held) <= most
            counts = [sum(key.namespace == one for key in turns.held) for one in {k.namespace for k in evil}]
            assert max(counts) <= max(1, most - max(1, most // 4))
        while not turns.take(HONEST):
            clock.now += 30
            waits += 30
            for key in evil:
                if key not in turns.held:
                    turns.take(key)
                elif draw.random() < 0.9:
                    turns.going(key, seconds=0, activity="starting")
            assert waits <= 11 * (2 * IDLE_SECONDS + 60)


def test_a_run_that_follows_a_run_waits_like_everybody_elses() -> None:
    clock = Clock()
    turns = Turns(1, clock=clock)
    assert turns.take(Key("evil", "1"))
    assert not turns.take(HONEST)
    clock.now += 1
    assert not turns.take(Key("evil", "1"))
    assert turns.take(HONEST)
