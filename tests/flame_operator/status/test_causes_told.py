"""Which conditions tell the causes that pods, claims and Jobs have."""

import pytest

from flame_operator.ingestion.record import IngestionState, RunRecord
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import Condition, Reason
from flame_operator.resource.server import parse_server
from flame_operator.status.conditions import server_status
from flame_operator.status.outcome import Check, Outcome
from flame_operator.workloads.causes import Cause
from flame_operator.workloads.deployments import PodCounts, pod_counts
from tests.support.operator.fake_kube import server

NOW = "2026-01-01T00:00:00Z"
GOOD = Check(Condition("True", Reason.ANSWERING, "It answers."))
COMPLETE = PodCounts(wanted=1, total=1, ready=1, available=1, seen=True, complete=True)
BEHIND = PodCounts(wanted=3, total=3, ready=1, available=1, seen=True, complete=False)
USERS = Cause("The image x can't be pulled: do something.", needs_user=True)
WORLDS = Cause("The pod can't be scheduled: Insufficient memory.")
REFUSED = Cause("The cluster refuses to create pods: quota.", needs_user=True, refused=True)
LOADED = RunRecord(job="j", phase="Running", loaded="x", succeeded=NOW)


def deployment(**counts: int) -> Manifest:
    status = {"observedGeneration": 1, "conditions": []} | counts
    return {"kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": status}


DONE = deployment(replicas=2, updatedReplicas=2, readyReplicas=2, availableReplicas=2)
UPDATING = deployment(replicas=3, updatedReplicas=1, readyReplicas=2, availableReplicas=2)
NONE = deployment(replicas=2, updatedReplicas=2)


def told(found: Manifest, outcome: Outcome, old: Manifest | None = None) -> dict[str, tuple[str, str, str]]:
    status = server_status(parse_server(server()), found, outcome, old or {}, NOW)
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in status["conditions"]}


def test_an_update_whose_pods_do_not_come_says_why_while_old_ones_serve() -> None:
    users = told(UPDATING, Outcome(check=GOOD, why=USERS))
    assert users["Ready"][:2] == ("True", "Answering")
    assert users["Stalled"] == ("True", "PodsNotReady", USERS.message)
    assert users["Reconciling"] == ("False", "PodsNotReady", f"Stalled: {USERS.message}")
    worlds = told(UPDATING, Outcome(check=GOOD, why=WORLDS))
    assert worlds["Ready"][:2] == ("True", "Answering")
    assert worlds["Stalled"][:2] == ("False", "UpToDate")
    assert "Nothing is blocking" not in worlds["Stalled"][2]
    assert worlds["Reconciling"] == (
        "True",
        "RolloutInProgress",
        f"Not all pods run the current spec and are ready yet. {WORLDS.message}",
    )


def test_a_first_start_says_why_in_ready() -> None:
    assert told(NONE, Outcome(why=WORLDS))["Ready"] == (
        "False",
        "PodsNotReady",
        f"None of 2 pods is ready. {WORLDS.message}",
    )


@pytest.mark.parametrize(
    ("store", "why", "reconciling", "stalled"),
    [
        (COMPLETE, None, ("False", "UpToDate"), ("False", "UpToDate")),
        (BEHIND, None, ("True", "RolloutInProgress"), ("False", "UpToDate")),
        (PodCounts(), None, ("True", "RolloutInProgress"), ("False", "UpToDate")),
        (BEHIND, WORLDS, ("True", "RolloutInProgress"), ("False", "UpToDate")),
        (BEHIND, USERS, ("False", "PodsNotReady"), ("True", "PodsNotReady")),
        (BEHIND, REFUSED, ("False", "PodsRejected"), ("True", "PodsRejected")),
    ],
    ids=["complete", "behind", "new", "world", "user", "refused"],
)
def test_the_pods_of_qdrant_count(
    store: PodCounts, why: Cause | None, reconciling: tuple[str, str], stalled: tuple[str, str]
) -> None:
    found = told(DONE, Outcome(check=GOOD, store=store, why_store=why))
    assert (found["Reconciling"][:2], found["Stalled"][:2]) == (reconciling, stalled)
    assert found["Ready"][:2] == ("True", "Answering")
    assert all(
        "All children match" not in message for status, _, message in found.values() if store is not COMPLETE
    )
    if why is not None:
        messages = found["Reconciling"][2] + found["Stalled"][2]
        assert f"Qdrant: {why.message}" in messages or f"ready yet. {why.message}" in messages


@pytest.mark.parametrize(
    ("counts", "complete"),
    [
        ({"replicas": 3, "updatedReplicas": 2, "readyReplicas": 1, "availableReplicas": 1}, False),
        ({"replicas": 3, "updatedReplicas": 2, "readyReplicas": 3, "availableReplicas": 3}, False),
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}, True),
    ],
    ids=["crashing", "old-pod", "done"],
)
def test_a_stateful_set_is_complete_once_all_its_pods_run_the_spec(
    counts: dict[str, int], complete: bool
) -> None:
    """The shape of 1 -> 3 replicas whose new pods crash for ever: the first pod is never replaced."""
    status = {"observedGeneration": 2, "currentRevision": "a", "updateRevision": "b", **counts}
    found = {"kind": "StatefulSet", "metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status}
    assert pod_counts(found).complete is complete


def test_a_run_that_can_not_work_is_told_though_an_older_index_is_served() -> None:
    for cause, reconciling, stalled in (
        (REFUSED, ("False", "PodsRejected"), ("True", "PodsRejected")),
        (WORLDS, ("True", "Ingesting"), ("False", "UpToDate")),
    ):
        found = told(
            DONE, Outcome(check=GOOD, ingestion=IngestionState(LOADED, message=cause.message, cause=cause))
        )
        assert found["Ready"][:2] == ("True", "Answering")
        assert (found["Reconciling"][:2], found["Stalled"][:2]) == (reconciling, stalled)
        assert f"A run: {cause.message}" in found["Reconciling"][2]


def test_a_first_run_tells_its_cause_in_index_ready() -> None:
    state = IngestionState(RunRecord(job="j", phase="Running"), message=WORLDS.message, cause=WORLDS)
    found = told(NONE, Outcome(ingestion=state))
    assert found["IndexReady"] == ("False", "Ingesting", f"No index has been loaded yet. {WORLDS.message}")
    assert found["Reconciling"][:2] == ("True", "Ingesting")
    assert WORLDS.message in found["Ready"][2]


def test_a_rollout_without_progress_tells_the_cause_instead_of_a_list_of_guesses() -> None:
    stuck = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "timed out.",
    }
    body = deployment(replicas=3, updatedReplicas=1, availableReplicas=2)
    body["status"]["conditions"] = [stuck]
    known = told(body, Outcome(check=GOOD, why=WORLDS))["Stalled"]
    assert known == (
        "True",
        "ProgressDeadlineExceeded",
        f"The rollout makes no progress: timed out. {WORLDS.message}",
    )
    assert "Check the pods" in told(body, Outcome(check=GOOD))["Stalled"][2]
