from flame_operator.changes.pace import MOST_REMEMBERED, Pace


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_namespace_reads_in_bursts_and_then_at_an_even_pace() -> None:
    clock = Clock()
    pace = Pace(per_second=2, burst=3, clock=clock)
    assert [pace.wait("team", name) for name in "abcde"] == [0, 0, 0, 0.5, 1.0]
    assert pace.wait("other", "a") == 0
    assert pace.wait("team", "d") == 0.5  # its turn is kept
    clock.now += 0.5
    assert pace.wait("team", "d") == 0
    assert pace.wait("team", "e") == 0.5
    clock.now += 100
    assert [pace.wait("team", name) for name in "efgh"] == [0, 0, 0, 0]


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    for number in range(3 * MOST_REMEMBERED):
        clock.now += 1
        pace.wait(f"team-{number}", "a")
    assert len(pace._even) <= MOST_REMEMBERED + 1
