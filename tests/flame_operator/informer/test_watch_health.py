import pytest

from flame_operator.errors import Blind
from flame_operator.informer.watch_health import WatchHealth, behind, patience
from flame_operator.resource.kinds import Manifest
from tests.support.operator.fake_kube import server

SERVERS, SERVICES = ("FlameMCPServer", ""), ("Service", "")


def at(version: int, namespace: str = "team") -> Manifest:
    body = server(namespace=namespace)
    return {**body, "metadata": {**body["metadata"], "resourceVersion": str(version)}}


@pytest.mark.parametrize(
    ("listed", "delivered", "expected"),
    [
        ({}, {}, set()),
        ({SERVERS: 7}, {}, {SERVERS}),
        ({SERVERS: 7}, {SERVERS: 6}, {SERVERS}),
        ({SERVERS: 7}, {SERVERS: 7}, set()),
        # Changed or deleted since.
        ({SERVERS: 7}, {SERVERS: 9}, set()),
        ({SERVERS: 7, SERVICES: 8}, {SERVERS: 9}, {SERVICES}),
        ({}, {SERVERS: 9}, set()),
    ],
)
def test_a_watch_is_behind_where_lists_find_something_newer(
    listed: dict[tuple[str, str], int],
    delivered: dict[tuple[str, str], int],
    expected: set[tuple[str, str]],
) -> None:
    assert behind(listed, delivered) == expected


@pytest.mark.parametrize(
    ("scopes", "heard", "now", "expected"),
    [
        ([SERVERS], {}, 100, 90),
        ([SERVERS], {}, 190, 0),
        # What it delivered before the list says nothing; what it delivers since, that it isn't blind.
        ([SERVERS], {SERVERS: 50}, 150, 40),
        ([SERVERS], {SERVERS: 140}, 150, 80),
        ([SERVERS, SERVICES], {SERVERS: 140}, 150, 40),
    ],
)
def test_how_long_it_still_has(
    scopes: list[tuple[str, str]], heard: dict[tuple[str, str], float], now: float, expected: float
) -> None:
    assert patience(scopes, heard, listed_at=100, now=now, grace=90) == expected


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_watch_that_catches_up_sees() -> None:
    watch_health = WatchHealth(namespaced=False, grace=90, clock=Clock())
    watch_health.delivered(at(5))
    assert watch_health.overdue({SERVERS: 7}, listed_at=100) == 90
    watch_health.delivered(at(8))
    watch_health.delivered(at(6))  # another object's, which comes late
    assert watch_health.overdue({SERVERS: 7}, listed_at=100) is None


def test_a_watch_that_delivers_nothing_is_blind_and_the_error_says_where() -> None:
    clock = Clock()
    watch_health = WatchHealth(namespaced=False, grace=90, clock=clock)
    watch_health.delivered(at(5))
    clock.now += 90
    with pytest.raises(
        Blind, match=r"for 90 s .* nothing, .* find changes: FlameMCPServer in all namespaces"
    ):
        watch_health.overdue({SERVERS: 7}, listed_at=100)


def test_with_a_list_of_namespaces_each_has_its_own_watch() -> None:
    clock = Clock()
    watch_health = WatchHealth(namespaced=True, grace=90, clock=clock)
    watch_health.delivered(at(9, "one"))
    clock.now += 90
    listed = {("FlameMCPServer", "one"): 7, ("FlameMCPServer", "two"): 8}
    with pytest.raises(Blind, match=r"find changes: FlameMCPServer in two$"):
        watch_health.overdue(listed, listed_at=100)
