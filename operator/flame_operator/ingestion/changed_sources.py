"""Decides when ConfigMaps with docs start a load by themselves, because they have changed. Pure.

The poller of references tells their content by a digest. A load notes the digest that it began with. While it
runs, changes wait: a load that each of them stopped would never end.
"""

from dataclasses import replace

from flame_operator.formats.times import seconds_between
from flame_operator.ingestion.record import RunRecord

PAUSE_SECONDS = 300.0
"""How long after such a load the next one may start: who edits all the time must not load all the time."""
PAUSES = "ConfigMaps with docs have changed again; they are loaded five minutes after the last such load."
_PREFIX = "sources/"


def noted(record: RunRecord, sources: str) -> RunRecord:
    """The record with the digest of the sources, where an earlier operator has loaded them without noting it.

    Args:
        record: The record of a server's loads.
        sources: The digest of its ConfigMaps with docs; empty when there are none, or not all are there.
    """
    return replace(record, sources=sources) if record.job and not record.sources else record


def trigger(record: RunRecord, sources: str, now: str) -> str:
    """The reason for a load now; empty when the sources are as the last load found them, or there is a pause.

    The last start is part of it: content that comes back is another reason than before.
    """
    if not _differ(record, sources) or pause(record, sources, now):
        return ""
    return f"{_PREFIX}{sources[-8:]}/{record.started}"


def pause(record: RunRecord, sources: str, now: str) -> float | None:
    """Seconds until changed sources may be loaded; None when they may be now, or have not changed."""
    if not _differ(record, sources) or not record.trigger.startswith(_PREFIX):
        return None
    left = PAUSE_SECONDS - seconds_between(record.ended, now)
    return left if left > 0 else None


def _differ(record: RunRecord, sources: str) -> bool:
    return bool(sources and record.sources) and sources != record.sources
