"""Schedules, with the time zones in which people think."""

import pytest

from flame_operator.formats.cron import is_schedule, next_tick, tick_between

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("schedule", "zone", "since", "now", "expected"),
    [
        ("0 3 * * *", None, "2026-01-01T03:00:00Z", "2026-01-02T02:59:59Z", None),
        ("0 3 * * *", None, "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z", "2026-01-02T03:00:00Z"),
        ("0 3 * * *", None, "2026-01-01T03:00:00Z", "2026-01-09T04:00:00Z", "2026-01-09T03:00:00Z"),
        (
            "0 3 * * *",
            BERLIN,
            "2026-01-01T03:00:00Z",
            "2026-01-02T02:00:00Z",
            "2026-01-02T02:00:00Z",
        ),
        (
            "0 3 * * *",
            BERLIN,
            "2026-07-01T03:00:00Z",
            "2026-07-02T01:00:00Z",
            "2026-07-02T01:00:00Z",
        ),
        ("@daily", None, "2026-01-01T03:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("5/10 ? * * ?", None, "2026-01-01T00:00:00Z", "2026-01-01T00:16:00Z", "2026-01-01T00:15:00Z"),
        ("0 3 * * *", None, "", "2026-01-02T03:00:00Z", None),
        ("0 3 * * *", "Mars/Olympus", "2026-01-01T00:00:00Z", "2026-01-02T03:00:00Z", None),
    ],
)
def test_what_is_due(schedule: str, zone: str | None, since: str, now: str, expected: str | None) -> None:
    assert tick_between(schedule, zone, since, now) == expected


def test_how_long_to_wait() -> None:
    assert next_tick("*/15 * * * *", None, "2026-01-01T00:05:00Z") == 600
    assert next_tick("0 0 30 2 *", None, "2026-01-01T00:05:00Z") is None


@pytest.mark.parametrize("schedule", ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "0 3 * * 1-5"])
def test_schedules_that_come_due(schedule: str) -> None:
    assert is_schedule(schedule, None)


@pytest.mark.parametrize("schedule", ["61 * * * *", "0 0 30 2 *", "a b c d e"])
def test_schedules_that_never_do(schedule: str) -> None:
    assert not is_schedule(schedule, None)
