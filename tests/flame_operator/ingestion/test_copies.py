"""When Qdrant's peers are given the copies that they lack: pure decisions over what has run before."""

from dataclasses import replace
from typing import Any

from flame_operator.desired.ingestion_job import job
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.run import Run, run_of
from flame_operator.ingestion.copies import Peers, decide_copies, is_incomplete, progress_of
from flame_operator.ingestion.record import RunRecord
from flame_operator.ingestion.runs import Decision
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server, parse_server
from flame_operator.workloads.jobs import Ended
from tests.support.operator.fake_kube import server

NOW, LATER = "2026-01-02T12:00:00Z", "2026-01-02T13:00:00Z"
LOADED = RunRecord(job="docs-ingest-1", phase="Succeeded", succeeded="2026-01-01T00:01:00Z")
WHOLE, PARTLY = Peers(3, whole=True), Peers(2)
COPIED = Ended(True, peers=3, copies=3)
DONE = RunRecord(phase="Succeeded", inputs="3", loaded="3", peers=3, copies=3, ended=NOW, succeeded=NOW)


def of(replicas: int = 3, **spec: Any) -> Server:  # noqa: ANN401 - JSON
    store = {"type": "Managed", "managed": {"replicas": replicas}}
    return parse_server(server(vectorStore=store, **spec))


def decided(
    record: RunRecord,
    *jobs: Manifest,
    peers: Peers = WHOLE,
    ended: Ended | None = None,
    load_ended: Ended | None = None,
    load: RunRecord = LOADED,
    now: str = NOW,
    one: Server | None = None,
) -> Decision:
    return decide_copies(
        one or of(), record, jobs, load=load, peers=peers, ended=ended, load_ended=load_ended, now=now
    )


def live(run: Run) -> Manifest:
    body = job(of(), Defaults(image="image:1"), run)
    body["metadata"]["creationTimestamp"] = NOW
    return body


def test_a_load_that_made_all_copies_leaves_nothing_to_do() -> None:
    found = decided(RunRecord(), load_ended=COPIED)
    assert found.start is None
    assert (found.record.phase, found.record.peers, found.record.copies) == ("Succeeded", 3, 3)
    assert found.record.message == "3 copies on 3 peers."
    assert decided(found.record, now=LATER) == Decision(found.record, look_again=82800)
    assert not progress_of(of(), found, WHOLE)


def test_a_load_that_left_too_few_is_followed_by_a_run() -> None:
    found = decided(DONE, load_ended=Ended(True, peers=3, copies=2))
    assert found.start == Run("replicate", "load/docs-ingest-1", "3", 1)
    assert (found.record.phase, found.record.copies) == ("Running", 2)
    assert (
        progress_of(of(), found, WHOLE)
        == "The copies on Qdrant's peers are being counted, and made where they are missing."
    )
    assert is_incomplete(found)
    running = live(found.start)
    assert run_of(running) == found.start
    assert decided(found.record, running).record == found.record
    done = decided(found.record, running, ended=COPIED, now=LATER).record
    assert (done.phase, done.copies, done.attempt, done.loaded) == ("Succeeded", 3, 0, "3")


def test_more_replicas_are_waited_for_and_then_get_copies() -> None:
    waits = decided(DONE, one=of(5), peers=Peers(3))
    assert (waits.start, waits.waits_for) == (None, "3 of 5 Qdrant pods are ready.")
    assert progress_of(of(5), waits, Peers(3)) == "3 of 5 Qdrant pods are ready."
    again = decided(waits.record, one=of(5), peers=Peers(4), now=LATER)
    assert again.record == waits.record
    start = decided(waits.record, one=of(5), peers=Peers(5, whole=True), now=LATER)
    assert start.start == Run("replicate", f"replicas/5/{NOW}", "5", 1)


def test_a_peer_that_was_away_may_have_lost_its_volume() -> None:
    away = decided(DONE, peers=PARTLY)
    assert away.record.phase == ""
    assert (away.record.peers, away.record.copies) == (3, 3)
    assert is_incomplete(away)
    back = decided(away.record, now=LATER)
    assert back.start == Run("replicate", f"peers/{NOW}", "3", 1)
    # Nothing that a load has counted before the peer was back shows that it has everything.
    assert decided(away.record, peers=PARTLY, load_ended=COPIED).record.phase == ""


def test_copies_are_counted_once_a_day_as_a_peer_may_be_lost_while_no_operator_runs() -> None:
    tomorrow = "2026-01-03T12:00:00Z"
    assert decided(DONE, now="2026-01-03T11:59:59Z").look_again == 1
    assert decided(DONE, now=tomorrow).start == Run("replicate", f"check/{tomorrow}", "3", 1)


def test_an_index_that_an_earlier_operator_loaded_is_seen_to_once() -> None:
    start = decided(RunRecord())
    assert start.start == Run("replicate", f"first/{LOADED.succeeded}", "3", 1)


def test_failures_are_tried_again_and_forgotten_when_peers_change() -> None:
    start = decided(RunRecord())
    assert start.start
    failed = decided(start.record, live(start.start), ended=Ended(False, "World", "1 of 3 peers."))
    assert (failed.record.phase, failed.look_again, failed.start) == ("Failed", 60, None)
    assert not is_incomplete(failed)
    assert progress_of(of(), failed, WHOLE) == "Copies are missing on Qdrant's peers: 1 of 3 peers."
    again = decided(failed.record, now=LATER)
    assert again.start == replace(start.start, attempt=2)
    users = decided(start.record, live(start.start), ended=Ended(False, "User", "The key may only read."))
    assert (users.start, users.look_again) == (None, None)
    away = decided(users.record, peers=PARTLY, now=LATER)
    assert decided(away.record, now=LATER).start == Run("replicate", f"peers/{LATER}", "3", 1)


def test_it_waits_for_other_jobs_and_for_a_first_load_and_while_suspended() -> None:
    other = live(Run("ingest", "spec", "x"))
    waits = decided(RunRecord(), other)
    assert (waits.start, waits.waits_for) == (None, "Another Job of this resource is still running.")
    assert decided(RunRecord(), load=RunRecord()) == Decision(RunRecord())
    assert decided(RunRecord(), one=of(suspend=True)) == Decision(RunRecord())


def test_one_replica_needs_no_copies() -> None:
    assert decided(DONE, one=of(1)) == Decision(RunRecord())
    assert progress_of(of(1), Decision(RunRecord()), Peers(0)) == "0 of 1 Qdrant pods are ready."


def test_a_job_that_a_crash_left_unrecorded_is_found() -> None:
    start = decided(RunRecord())
    assert start.start
    found = decided(RunRecord(), live(start.start), now=LATER)
    assert found.start is None
    assert (found.record.phase, found.record.job) == ("Running", start.record.job)
