"""Which run is due: pure decisions over what has run before."""

from dataclasses import replace
from typing import Any

import pytest

from flame_operator.desired.ingestion_job import inputs
from flame_operator.desired.run import Run
from flame_operator.ingestion.record import RunRecord, as_status, record_of
from flame_operator.ingestion.runs import Decision, Store, decide_snapshot, stale_after
from flame_operator.resource.annotations import REINDEX, ROLLBACK
from tests.support.operator.deciding import (
    BUNDLED,
    DEFAULTS,
    DONE,
    NOW,
    USER,
    WORLD,
    decided,
    live,
    loaded,
    one,
)


def test_the_first_load_starts_once_the_store_is_ready_and_all_is_there() -> None:
    of = one()
    assert decided(of, RunRecord(), store=Store(ready=False)).waits_for == "Qdrant isn't ready yet."
    assert decided(of, RunRecord(), store=Store(missing=("Secret a is missing",))).waits_for == (
        "Secret a is missing"
    )
    waits = decided(of, RunRecord(), store=Store(may_start=False))
    assert waits.start is None
    assert waits.look_again
    start = decided(of, RunRecord())
    assert start.start == Run("ingest", "spec", inputs(of, DEFAULTS), 1)
    assert (start.record.phase, start.record.job) == ("Running", start.start.name(of))


def test_the_same_decision_names_the_same_job_and_another_resource_another() -> None:
    run = Run("ingest", "spec", "abc")
    of = one()
    assert run.name(of) == run.name(of)
    assert run.name(of) != run.name(replace(of, uid="other"))
    assert run.name(of) != replace(run, attempt=2).name(of)


def test_nothing_is_due_after_a_load_without_a_schedule() -> None:
    of = one()
    assert decided(of, loaded(of)) == Decision(loaded(of))


def test_what_ended_is_remembered_and_started_anew_only_when_that_helps() -> None:
    of = one()
    start = decided(of, RunRecord())
    assert start.start
    running = live(of, start.start)
    assert decided(of, start.record, running).record == start.record
    done = decided(of, start.record, running, ended=DONE).record
    assert (done.phase, done.message, done.loaded, done.succeeded) == (
        "Succeeded", DONE.message, inputs(of, DEFAULTS), NOW,
    )  # fmt: skip
    failed = decided(of, start.record, live(of, start.start, ended="Failed"), ended=WORLD)
    assert (failed.record.phase, failed.record.failure, failed.start) == ("Failed", "World", None)
    assert failed.look_again == 60
    later = decided(of, failed.record, now="2026-01-02T12:01:00Z")
    assert later.start == Run("ingest", "spec", inputs(of, DEFAULTS), 2)
    # What went wrong stays known while it is tried again.
    assert (later.record.failure, later.record.message) == ("World", WORLD.message)
    users = decided(of, start.record, live(of, start.start, ended="Failed"), ended=USER)
    assert (users.start, users.look_again) == (None, None)
    assert decided(of, users.record, now="2026-02-02T12:00:00Z").start is None


def test_waits_double_up_to_an_hour_and_crashes_are_bounded() -> None:
    of = one()
    for attempt, seconds in ((1, 60), (2, 120), (5, 960), (7, 3600), (40, 3600)):
        record = loaded(of, phase="Failed", failure="World", ended=NOW, attempt=attempt)
        assert decided(of, record).look_again == seconds
    record = loaded(of, phase="Failed", failure="Internal", ended=NOW, attempt=2)
    assert decided(of, record).look_again == 120
    assert decided(of, replace(record, attempt=3)).look_again is None


def test_a_change_of_the_spec_stops_a_useless_run_and_starts_the_next_when_it_has_gone() -> None:
    before, after = one(), one(embedding={"type": "None"})
    start = decided(before, RunRecord())
    assert start.start
    running = live(before, start.start)
    stopped = decided(after, start.record, running)
    assert stopped.stop == (running,)
    assert stopped.start is None
    gone = decided(after, stopped.record)
    assert gone.start == Run("ingest", "spec", inputs(after, DEFAULTS))


def test_a_user_error_is_tried_again_when_the_spec_changes_or_somebody_asks() -> None:
    of = one()
    record = loaded(of, phase="Failed", failure="User", loaded="", succeeded="")
    assert decided(of, record).start is None
    asked = one({REINDEX: "now"})
    run = decided(asked, record).start
    assert run == Run("ingest", "reindex/now", inputs(of, DEFAULTS))
    other = one(embedding={"type": "None"})
    assert decided(other, record).start == Run("ingest", "spec", inputs(other, DEFAULTS))


def test_an_annotation_is_acted_on_once() -> None:
    of = one({REINDEX: "1"})
    first = decided(of, loaded(of))
    assert first.start == Run("ingest", "reindex/1", inputs(of, DEFAULTS))
    done = decided(of, first.record, live(of, first.start), ended=DONE).record
    assert decided(of, done).start is None
    again = one({REINDEX: "2"})
    assert decided(again, done).start


def test_a_schedule_runs_once_however_many_times_were_missed() -> None:
    of = one(ingestion={**BUNDLED, "schedule": "0 3 * * *"})
    record = loaded(of)
    due = decided(of, record, now="2026-01-09T03:00:00Z")
    assert due.start == Run("ingest", "schedule/2026-01-09T03:00:00Z", inputs(of, DEFAULTS))
    job = live(of, due.start, ended="Complete")
    done = decided(of, due.record, job, ended=DONE, now="2026-01-09T03:05:00Z")
    assert done.start is None
    assert done.look_again == 24 * 3600 - 300


def test_two_triggers_at_once_are_one_run() -> None:
    of = one({REINDEX: "1"}, ingestion={**BUNDLED, "schedule": "0 3 * * *"})
    due = decided(of, loaded(of), now="2026-01-09T03:00:00Z")
    assert due.start
    done = decided(of, due.record, live(of, due.start), ended=DONE, now="2026-01-09T03:01:00Z")
    assert done.start is None


@pytest.mark.parametrize("spec", [{"suspend": True}, {"ingestion": {**BUNDLED, "suspend": True}}])
def test_nothing_starts_while_suspended(spec: dict[str, Any]) -> None:
    of = one({REINDEX: "1"}, **spec)
    assert decided(of, RunRecord()) == Decision(RunRecord())


def test_a_rollback_pauses_loads_until_it_is_taken_back() -> None:
    asked = one({ROLLBACK: "bad docs", REINDEX: "1"}, ingestion={**BUNDLED, "schedule": "0 3 * * *"})
    back = decided(asked, loaded(asked), now="2026-01-09T03:00:00Z")
    assert back.start == Run("rollback", "rollback/bad docs", inputs(asked, DEFAULTS))
    done = decided(asked, back.record, live(asked, back.start), ended=DONE, now="2026-01-09T03:01:00Z")
    assert done.start is None
    # The index is as old as it was.
    assert done.record.succeeded == loaded(asked).succeeded
    assert decided(asked, done.record, now="2026-02-09T03:00:00Z").start is None
    free = one(ingestion={**BUNDLED, "schedule": "0 3 * * *"})
    resumed = decided(free, done.record, now="2026-02-09T02:00:00Z").start
    assert resumed
    assert resumed.trigger == "resume/bad docs"


def test_the_first_load_has_nothing_to_roll_back() -> None:
    of = one({ROLLBACK: "early"})
    assert decided(of, RunRecord()).start == Run("ingest", "spec", inputs(of, DEFAULTS))


def test_one_run_at_a_time_also_with_snapshots() -> None:
    of = one(vectorStore={"type": "Managed", "managed": {"snapshots": {"schedule": "0 3 * * *"}}})
    snapshot = decide_snapshot(of, RunRecord(), [], None, "2026-01-09T03:00:05Z")
    assert snapshot.start == Run("snapshot", "schedule/2026-01-09T03:00:00Z", "")
    running = live(of, snapshot.start)
    assert decided(of, RunRecord(), running).start is None
    load = live(of, Run("ingest", "spec", "x"))
    assert decide_snapshot(of, RunRecord(), [load], None, "2026-01-09T03:00:05Z").start is None
    done = decide_snapshot(of, snapshot.record, [running], DONE, "2026-01-09T03:01:00Z")
    assert done.start is None
    assert done.record.phase == "Succeeded"


def test_whoever_crashes_after_a_start_finds_the_job_again() -> None:
    of = one()
    start = decided(of, RunRecord())
    assert start.start
    running = live(of, start.start)
    # The status was never written.
    adopted = decided(of, RunRecord(), running)
    assert (adopted.start, adopted.record.job, adopted.record.phase) == (None, start.record.job, "Running")


def test_a_job_that_somebody_deletes_counts_as_failed_and_is_tried_again() -> None:
    of = one()
    start = decided(of, RunRecord())
    gone = decided(of, start.record)
    assert (gone.record.phase, gone.record.failure, gone.look_again) == ("Failed", "World", 60)


def test_old_jobs_go_and_the_running_one_stays() -> None:
    of = one(ingestion={**BUNDLED, "historyLimit": 1})
    old = [
        live(of, Run("ingest", "spec", "x", number), ended="Complete", created=f"2026-01-01T0{number}:00:00Z")
        for number in (1, 2, 3)
    ]
    assert decided(of, loaded(of), *old).stop == (old[0], old[1])
    running = decided(of, RunRecord(), *old)
    assert running.start
    assert {found["metadata"]["name"] for found in running.stop} == {
        found["metadata"]["name"] for found in old[:2]
    }


def test_without_anything_to_load_all_jobs_go() -> None:
    of = one(vectorStore={"type": "Embedded"})
    left = live(of, Run("ingest", "spec", "x"))
    assert decided(of, loaded(of), left) == Decision(RunRecord(), stop=(left,))


def test_an_index_is_stale_after_twice_its_schedule() -> None:
    of = one(ingestion={**BUNDLED, "schedule": "0 3 * * *"})
    record = loaded(of, succeeded="2026-01-01T03:00:30Z")
    assert stale_after(of, record, "2026-01-01T04:00:00Z") == 47 * 3600
    late = stale_after(of, record, "2026-01-03T03:00:01Z")
    assert late is not None
    assert late < 0
    assert stale_after(one(), record, NOW) is None


def test_memory_survives_the_status() -> None:
    record = loaded(one(), attempt=3, failure="World", message="m", scheduled=NOW, reindex="a", rollback="b")
    assert record_of({"ingestion": as_status(record)}, "ingestion") == record
    assert record_of({}, "ingestion") == RunRecord()
