"""Attack H1 with pods that really load: a hundred namespaces keep a newcomer from its first load.

In virtual time. A newcomer waited 110 minutes: each of them had a turn of ten minutes before it.
"""

from collections.abc import Callable

import pytest

from flame_operator.ingestion.turns import (
    LONGEST_SECONDS,
    NO_NODE_SECONDS,
    RUNS_PER_TURN,
    SHORT_IDLE_SECONDS,
    SHORTEST_SECONDS,
    Turns,
)
from flame_operator.resource.kinds import Key
from flame_operator.workloads.jobs import Activity
from tests.support.operator.fake_time import Clock

HONEST = Key("honest", "docs-0")
TURNS = 10
STEP = 10
"""Seconds between two passes over a resource that has a run."""


class Crowd:
    """Namespaces whose resources all load all the time, each for so many seconds, if ever it ends.

    Args:
        namespaces: How many there are.
        servers: How many resources each has.
        lasts: How many seconds a run takes; None for a day.
        first: Whether they have no docs yet, or never succeed.
    """

    def __init__(self, namespaces: int, servers: int, *, lasts: float | None, first: bool) -> None:
        self.clock = Clock()
        self.turns = Turns(TURNS, clock=self.clock)
        self.keys = [Key(f"busy-{n}", f"docs-{m}") for n in range(namespaces) for m in range(servers)]
        self.lasts, self.first = lasts or 86_400.0, first
        self.began: dict[Key, float] = {}
        self.most = 0

    def passes(self) -> None:
        for key in self.keys:
            seconds = self.clock.now - self.began.get(key, self.clock.now)
            if seconds >= self.lasts:
                del self.began[key]
                self.turns.release(key)
            if key in self.began:
                self.turns.going(key, seconds=seconds, activity="working")
            elif self.turns.take(key, first=self.first):
                self.began[key] = self.clock.now
        self.most = max(self.most, len(self.began))

    def goes_on(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.passes()
            self.clock.now += STEP

    def waits(self, *, first: bool) -> float:
        """How long an honest resource waits that comes now."""
        since = self.clock.now
        self.passes()
        while not self.turns.take(HONEST, first=first):
            self.clock.now += STEP
            self.passes()
            assert self.clock.now - since < 86_400
        return self.clock.now - since


def most_runs(namespaces: int) -> int:
    """The first namespace may have 20 runs, the second that comes 10, and so on, but each may have one."""
    return sum(max(1, RUNS_PER_TURN * TURNS // (number + 1)) for number in range(namespaces))


@pytest.mark.parametrize("comes_after", [0, 900])
@pytest.mark.parametrize("lasts", [50, 590, 600, None])
@pytest.mark.parametrize("first", [True, False])
def test_a_newcomers_first_load_starts_within_fifteen_minutes(
    first: bool, lasts: float | None, comes_after: float
) -> None:
    """Of a hundred namespaces, that came first or load all the time, for the first time or again."""
    crowd = Crowd(100, 2, lasts=lasts, first=first)
    crowd.goes_on(comes_after)
    assert crowd.waits(first=True) <= 15 * 60
    crowd.goes_on(300)
    assert crowd.most <= most_runs(101) == 147


def test_loads_that_are_not_the_first_are_not_starved_by_first_loads() -> None:
    """A hundred namespaces make new resources all the time: every fourth turn goes by the time of waiting."""
    crowd = Crowd(100, 2, lasts=50, first=True)
    crowd.goes_on(600)
    assert crowd.waits(first=False) <= 15 * 60


def test_a_second_load_is_not_starved_by_namespaces_that_have_none() -> None:
    crowd = Crowd(100, 2, lasts=50, first=True)
    crowd.turns.going(Key(HONEST.namespace, "loads for a day"), seconds=700, activity="working")
    crowd.turns.take(Key(HONEST.namespace, "docs-1"), first=True)
    crowd.passes()
    crowd.clock.now += STEP
    assert crowd.waits(first=True) <= 45 * 60


def test_an_upgrade_of_a_hundred_namespaces_makes_no_more_of_them_load_at_once() -> None:
    """They all have docs already, so their turns are as long as ever: ten at a time."""
    crowd = Crowd(100, 1, lasts=LONGEST_SECONDS - STEP, first=False)
    crowd.goes_on(3600)
    assert crowd.most == TURNS
    assert crowd.turns.longest == LONGEST_SECONDS


@pytest.mark.parametrize(
    ("waiting", "seconds"), [(0, 600), (10, 600), (11, 545), (50, 120), (100, 60), (500, 60)]
)
def test_turns_are_shorter_the_more_namespaces_wait_for_a_first_load(waiting: int, seconds: float) -> None:
    turns = Turns(TURNS, clock=Clock())
    for number in range(TURNS + waiting):
        turns.take(Key(f"team-{number}", "docs"), first=True)
    for number in range(TURNS + waiting):
        turns.take(Key(f"team-{number}", "again"))
    assert int(turns.longest) == seconds >= SHORTEST_SECONDS


def test_runs_that_are_under_way_are_bounded_by_namespaces_not_by_resources() -> None:
    """Each of forty namespaces comes when those before have all they can get, with fifty runs of a day."""
    clock = Clock()
    turns = Turns(TURNS, clock=clock)
    began: dict[Key, float] = {}
    for number in range(40):
        for _ in range(8):
            clock.now += LONGEST_SECONDS / 2
            for key, since in began.items():
                turns.going(key, seconds=clock.now - since, activity="working")
            for server in range(50):
                key = Key(f"busy-{number}", f"docs-{server}")
                if key not in began and turns.take(key, first=True):
                    began[key] = clock.now
                    turns.going(key, seconds=0, activity="working")
        assert sum(key.namespace == f"busy-{number}" for key in began) >= 1
        assert len(began) <= most_runs(number + 1)
    alone = sum(key.namespace == "busy-0" for key in began)
    assert alone == RUNS_PER_TURN * TURNS


def test_runs_that_can_not_start_keep_a_namespace_from_nothing_but_many_more() -> None:
    """Five resources whose images are missing, and a sixth that is fine, beside twenty other namespaces."""
    clock = Clock()
    turns = Turns(TURNS, clock=clock)
    for number in range(5):
        key = Key("team", f"broken-{number}")
        assert turns.take(key, first=True)
        turns.going(key, seconds=0, activity="stuck")
    for number in range(20):
        turns.take(Key(f"other-{number}", "docs"), first=True)
    assert not turns.take(Key("team", "fine"), first=True)
    for number in range(20):
        clock.now += 1
        turns.release(Key(f"other-{number}", "docs"))
    assert turns.take(Key("team", "fine"), first=True)
    for number in range(5, 30):
        key = Key("team", f"broken-{number}")
        if turns.take(key, first=True):
            turns.going(key, seconds=0, activity="stuck")
    assert len(turns._overdue) <= RUNS_PER_TURN * TURNS


@pytest.mark.parametrize(
    ("doing", "at_most"), [("waiting", NO_NODE_SECONDS), ("starting", SHORT_IDLE_SECONDS)]
)
def test_a_newcomer_waits_for_no_pods_that_do_not_start(doing: Activity, at_most: float) -> None:
    """Ten namespaces took all turns at once, each for the minute in which its pods might have started."""
    clock, told, timers = Clock(), list[Key](), list[tuple[float, Callable[[], None]]]()

    def call_later(seconds: float, wake: Callable[[], None]) -> None:
        timers.append((clock.now + seconds, wake))

    turns = Turns(TURNS, told.append, clock, call_later)
    for key in [Key(f"evil-{n}", "docs") for n in range(TURNS)]:
        assert turns.take(key, first=True)
        turns.going(key, seconds=0, activity=doing)
    clock.now = 2
    assert not turns.take(HONEST, first=True)
    ((clock.now, wake),) = timers
    wake()
    assert clock.now <= at_most + 2
    assert told == [HONEST]
    assert turns.take(HONEST, first=True)
    # Nobody waits any more who has no run: pods have their minute again.
    assert not turns.hurries
