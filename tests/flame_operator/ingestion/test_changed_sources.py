"""Loads that a changed ConfigMap starts by itself."""

from dataclasses import replace
from typing import Any

import pytest

from flame_operator.ingestion.changed_sources import PAUSE_SECONDS, PAUSES
from flame_operator.ingestion.record import RunRecord, as_status, record_of
from flame_operator.ingestion.runs import LOOK_SECONDS, Decision, Store
from flame_operator.resource.annotations import REINDEX, ROLLBACK
from flame_operator.resource.server import Server
from tests.support.operator.deciding import DONE, NOW, USER, decided, live, loaded, one

OLD, NEW = f"names-{'0' * 32}", f"names-{'1' * 32}"
SOURCES = {"sources": [{"name": "docs", "configMapRef": {"name": "pages"}}]}
DOCS = one(ingestion=SOURCES)
SOON = "2026-01-02T12:02:00Z"


def after(of: Server = DOCS, **fields: Any) -> RunRecord:  # noqa: ANN401 - fields of a record
    """What is remembered of a load that has found the old sources."""
    return loaded(of, **{"sources": OLD, **fields})


def when(sources: str, record: RunRecord, of: Server = DOCS, now: str = NOW) -> Decision:
    return decided(of, record, store=Store(sources=sources), now=now)


def test_a_change_starts_a_load_once() -> None:
    assert when(OLD, after()).start is None
    changed = when(NEW, after())
    assert changed.start is not None
    assert changed.start.task == "ingest"
    assert changed.start.trigger == "sources/11111111/2026-01-01T00:00:10Z"
    assert changed.record.sources == NEW
    assert record_of({"ingestion": as_status(changed.record)}, "ingestion") == changed.record
    # The same decision has the same Job, so a crash in between starts nothing twice.
    assert when(NEW, after()).start == changed.start
    job = live(DOCS, changed.start, ended="Complete")
    done = decided(DOCS, changed.record, job, ended=DONE, store=Store(sources=NEW))
    assert (done.start, done.record.phase) == (None, "Succeeded")


def test_content_that_comes_back_is_loaded_again() -> None:
    first = when(NEW, after()).start
    again = when(NEW, after(started="2026-01-01T09:00:00Z")).start
    assert first is not None
    assert again is not None
    assert first.name(DOCS) != again.name(DOCS)


def test_a_change_during_a_run_waits_for_its_end() -> None:
    first = when(NEW, after(sources="names-before"))
    assert first.start is not None
    running = decided(DOCS, first.record, live(DOCS, first.start), store=Store(sources=OLD))
    assert (running.stop, running.start, running.look_again) == ((), None, LOOK_SECONDS)
    assert running.record.sources == NEW


def test_a_source_that_changes_all_the_time_is_loaded_after_pauses() -> None:
    record = after(trigger="sources/0/x", ended=NOW)
    pausing = when(NEW, record, now=SOON)
    assert (pausing.start, pausing.look_again, pausing.waits_for) == (None, PAUSE_SECONDS - 120, PAUSES)
    later = when(NEW, record, now="2026-01-02T12:05:00Z")
    assert later.start is not None
    # Other reasons wait for nothing, and their run finds the change, too.
    asked = when(NEW, record, one({REINDEX: "1"}, ingestion=SOURCES), now=SOON)
    assert asked.start is not None
    assert asked.start.trigger == "reindex/1"
    assert asked.record.sources == NEW


@pytest.mark.parametrize(
    "of",
    [
        one(ingestion=SOURCES | {"suspend": True}),
        one(ingestion=SOURCES, suspend=True),
        one({ROLLBACK: "bad docs"}, ingestion=SOURCES),
    ],
)
def test_who_wants_no_loads_gets_none_until_that_changes(of: Server) -> None:
    record = after(of, rollback="bad docs" if ROLLBACK in of.annotations else "", trigger="sources/0/x")
    waits = when(NEW, replace(record, ended=NOW), of, now=SOON)
    assert (waits.start, waits.waits_for) == (None, "")
    assert waits.record.sources == OLD
    goes_on = when(NEW, replace(record, rollback=""))
    assert goes_on.start is not None


def test_a_schedule_changes_nothing_and_its_run_finds_the_change() -> None:
    of = one(ingestion=SOURCES | {"schedule": "@daily"})
    found = when(NEW, after(of, scheduled="2026-01-02T00:00:00Z"), of)
    assert found.start is not None
    assert found.start.trigger.startswith("sources/")
    due = when(NEW, after(of, scheduled="2026-01-01T00:00:00Z"), of)
    assert due.start is not None
    assert due.start.trigger == "schedule/2026-01-02T00:00:00Z"
    assert due.record.sources == NEW


def test_a_failed_load_is_tried_with_what_has_been_corrected() -> None:
    failed = after(phase="Failed", failure=USER.failure, message=USER.message, attempt=1)
    assert when(OLD, failed).start is None
    assert when(NEW, failed).start is not None


@pytest.mark.parametrize("sources", ["", OLD])
def test_what_an_earlier_operator_has_loaded_is_not_loaded_again(sources: str) -> None:
    first = when(sources, after(sources=""))
    assert first.start is None
    assert first.record.sources == sources
    # A ConfigMap that is missing for a while is no change.
    assert when("", after()).start is None
    assert when("", after()).record.sources == OLD
