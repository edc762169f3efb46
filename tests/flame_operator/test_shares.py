import pytest

from flame_operator.shares import REMEMBERED, Buckets, may_have_one_more


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
