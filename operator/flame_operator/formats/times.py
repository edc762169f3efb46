"""Writes and compares times as conditions have them: RFC 3339 in UTC with whole seconds."""

from datetime import UTC, datetime

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> str:
    """The current time, RFC 3339 in UTC with whole seconds."""
    return datetime.now(UTC).strftime(FORMAT)


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one time to another; negative when `later` is the earlier one, 0 when one isn't a time."""
    try:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    except (ValueError, TypeError):  # a TypeError when only one of them has a time zone
        return 0.0
