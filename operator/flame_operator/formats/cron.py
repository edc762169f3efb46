"""Reads cron schedules: whether a schedule is valid, and when it is due."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from flame_operator.formats.times import FORMAT, seconds_between

_LAST = (59, 23, 31, 12, 6)
_NAMES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


def tick_between(schedule: str, zone: str | None, since: str, now: str) -> str | None:
    """The latest time at which a schedule was due after `since` and no later than `now`, or None.

    A single time stands for all that were missed: however many there were, only the latest counts.

    Args:
        schedule: Five cron fields, or a name such as `@daily`.
        zone: The schedule's time zone; None means UTC.
        since: RFC 3339 in UTC; empty gives None.
        now: RFC 3339 in UTC.
    """
    if not since:
        return None
    last = _tick(schedule, zone, now, reverse=True)
    return last if last is not None and last > since else None


def tick_after(schedule: str, zone: str | None, since: str) -> str | None:
    """The first time at which a schedule is due after `since`, or None when it never is."""
    return _tick(schedule, zone, since, reverse=False)


def next_tick(schedule: str, zone: str | None, now: str) -> float | None:
    """Seconds until a schedule is next due, or None when it never is."""
    following = tick_after(schedule, zone, now)
    return None if following is None else seconds_between(now, following)


def _tick(schedule: str, zone: str | None, start_at: str, *, reverse: bool) -> str | None:
    try:
        start = datetime.fromisoformat(start_at).astimezone(ZoneInfo(zone) if zone else UTC)
        if reverse:
            # A backward search starts before the given time, but a schedule is also due at that very second.
            start += timedelta(seconds=1)
        found = next(CronSim(_plain(schedule), start, reverse=reverse))
    except (CronSimError, ZoneInfoNotFoundError, StopIteration, ValueError, OverflowError, OSError):
        # Zones are files: `Europe` is a folder, and opening a folder is an OSError.
        return None
    return found.astimezone(UTC).strftime(FORMAT)


@lru_cache(maxsize=1024)
def _plain(schedule: str) -> str:
    """A schedule in cronsim's syntax; Kubernetes' CronJobs accept more: names, `?` for `*`, and `5/10`."""
    fields = _NAMES.get(schedule, schedule).replace("?", "*").split(" ")
    return " ".join(
        ",".join(re.sub(r"^(\d+)/", rf"\g<1>-{last}/", part) for part in field.split(","))
        for field, last in zip(fields, _LAST, strict=False)
    )


@lru_cache(maxsize=1024)
def is_schedule(schedule: str, zone: str | None) -> bool:
    """Whether a schedule is valid and ever comes due."""
    return tick_after(schedule, zone, "2026-01-01T00:00:00Z") is not None
