import math
import random

import pytest

from flame_operator.resource.kinds import Key
from flame_operator.shares import HALVED_SECONDS, REMEMBERED, Buckets, Line, Usage, may_have_one_more


def filled(slots: int, tenants: int) -> list[int]:
    """How many slots each of some greedy tenants has that take one after the other, in turns."""
    held = [0] * tenants
    while any(may_have_one_more(each, slots - sum(held)) for each in held):
        for number, each in enumerate(held):
            held[number] += may_have_one_more(each, slots - sum(held))
    return held


@pytest.mark.parametrize(
    ("slots", "tenants", "shares"),
    [
        (1, 1, [1]),
        (2, 1, [1]),
        (4, 1, [3]),
        (10, 1, [7]),
        (16, 1, [12]),
        (128, 1, [96]),
        (10, 2, [4, 4]),
        (16, 2, [7, 6]),
        (128, 2, [55, 54]),
    ],
)
def test_shares_shrink_with_the_number_of_tenants(slots: int, tenants: int, shares: list[int]) -> None:
    assert filled(slots, tenants) == shares


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 10, 16, 50])
def test_some_are_left_for_whoever_comes_next(slots: int) -> None:
    for tenants in range(1, slots):
        free = slots - sum(filled(slots, tenants))
        assert free >= 1
    assert sum(filled(slots, slots)) == slots


def test_one_that_came_first_leaves_a_quarter_to_all_others() -> None:
    held = [sum(may_have_one_more(n, 16 - n) for n in range(16))]
    for _ in range(3):
        mine = 0
        while may_have_one_more(mine, 16 - sum(held) - mine):
            mine += 1
        held.append(mine)
    assert held == [12, 3, 1, 0]


def test_a_bucket_is_full_at_first_and_fills_again() -> None:
    buckets = Buckets(3, refill_seconds=10)
    assert [buckets.take("a", 0) for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b", 0)
    assert [buckets.take("a", 10), buckets.take("a", 19.9), buckets.take("a", 20)] == [True, False, True]
    assert [buckets.take("a", 1e6) for _ in range(4)] == [True, True, True, False]


def test_buckets_are_bounded() -> None:
    buckets = Buckets(1, refill_seconds=1e9)
    for number in range(REMEMBERED + 10):
        assert buckets.take(number, 0)
    assert len(buckets) == REMEMBERED
    assert not buckets.take(REMEMBERED, 0)


def line_of(*keys: Key, usage: Usage | None = None) -> Line[Key]:
    line: Line[Key] = Line(usage or Usage())
    for key in keys:
        line.add(key, 0)
    return line


def popped(line: Line[Key], now: float = 0, blocked: str = "") -> str:
    key = line.pop({blocked: 100}, 8, now)
    return str(key) if key else ""


def test_whoever_comes_new_waits_for_nobody_who_has_been_served_all_the_time() -> None:
    busy = [Key(f"busy-{number}", f"docs-{n}") for n in range(3) for number in range(100)]
    line = line_of(*busy)
    for now in range(250):
        popped(line, now)
    line.add(Key("new", "docs"), 250)
    assert "new/docs" in {popped(line, 250), popped(line, 250)}
    assert len(line) == 49


def test_namespaces_that_wait_take_turns() -> None:
    line = line_of(*[Key(namespace, number) for namespace in "abc" for number in "12"])
    assert [popped(line) for _ in range(7)] == ["a/1", "a/2", "b/1", "b/2", "c/1", "c/2", ""]
    assert len(line) == 0


def test_whoever_has_one_key_does_not_wait_for_those_who_bring_many() -> None:
    """A new server needs eight passes, one after the other: each waited for a pass of each of them."""
    line, others = line_of(*[Key(f"many-{n}", f"{m}") for n in range(100) for m in range(14)]), 0
    for now in range(8):
        line.add(Key("honest", "docs"), now)
        while popped(line, now) != "honest/docs":
            others += 1
    assert others <= 8


def test_those_who_bring_many_get_every_other_turn_all_the_same() -> None:
    """Namespaces of one key come and come again, faster than all can be served."""
    line, served = line_of(*[Key("many", f"{n}") for n in range(14)]), []
    for now in range(200):
        for number in range(3):
            line.add(Key(f"one-{number}", "docs"), now)
        served.append(popped(line, now))
    assert served.index("many/13") <= 60


@pytest.mark.parametrize("seed", range(5))
def test_every_key_that_waits_is_popped_once(seed: int) -> None:
    draw, line, waiting = random.Random(seed), line_of(), set[Key]()  # noqa: S311 - no secret
    for now in range(2000):
        key = Key(f"{draw.randrange(6)}", f"{draw.randrange(6)}")
        blocked = f"{draw.randrange(6)}"
        match draw.randrange(5):
            case 0 | 1:
                line.add(key, now)
                waiting.add(key)
            case 2:
                line.discard(key)
                waiting.discard(key)
            case _:
                found = line.pop({blocked: 100}, 8, now)
                assert (found is None) == all(one.namespace == blocked for one in waiting)
                waiting -= {found}
        assert len(line) == len(waiting)


def test_a_turn_counts_less_as_time_passes() -> None:
    usage = Usage()
    for _ in range(4):
        usage.note("earlier", 0)
    usage.note("later", 4 * HALVED_SECONDS)
    assert usage.of("earlier") < usage.of("later")
    assert usage.of("nobody") < usage.of("earlier")


def test_turns_of_another_line_count() -> None:
    usage = Usage()
    one, other = line_of(Key("a", "1"), Key("b", "1"), usage=usage), line_of(Key("a", "2"), usage=usage)
    assert popped(other) == "a/2"
    assert [popped(one), popped(one)] == ["b/1", "a/1"]


def test_who_may_not_run_keeps_its_place() -> None:
    line = line_of(Key("a", "1"), Key("b", "1"))
    assert popped(line, blocked="a") == "b/1"
    assert popped(line, blocked="a") == ""
    assert popped(line) == "a/1"


def test_a_key_waits_once_and_not_after_it_was_discarded() -> None:
    line = line_of(Key("a", "1"), Key("a", "1"), Key("a", "2"))
    line.discard(Key("a", "1"))
    line.discard(Key("c", "1"))
    assert len(line) == 1
    assert [popped(line), popped(line)] == ["a/2", ""]
    line.add(Key("a", "1"), 0)
    assert popped(line) == "a/1"


def test_of_thousands_of_namespaces_the_one_served_longest_ago_is_forgotten() -> None:
    usage = Usage()
    for number in range(REMEMBERED + 1):
        usage.note(f"{number}", 1e9 + number)
    assert usage.of("0") == -math.inf
    assert usage.of("1") < usage.of(f"{REMEMBERED}")
