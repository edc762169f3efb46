# ruff: noqa: ANN401 - JSON values
import inspect
from typing import Any

import pytest
import yaml

from flame_operator import status as status_module
from flame_operator.model import Manifest, parse_server
from flame_operator.status import MESSAGE_LENGTH, Outcome, Reason, invalid_status, server_status
from tests.flame_operator.fake_kube import server
from tests.flame_operator.test_crd_schema import SCHEMA

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z"
TYPES = ["Ready", "Available", "IndexReady", "Reconciling", "Stalled"]


def deployment(wanted: int = 2, conditions: list[dict[str, str]] | None = None, **status: Any) -> Manifest:
    return {
        "kind": "Deployment",
        "metadata": {"generation": 3},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 3, "conditions": conditions or [], **status},
    }


def rolled_out(pods: int = 2) -> Manifest:
    counts: dict[str, Any] = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), pods
    )
    return deployment(pods, **counts)


def status(
    found: Manifest | None, *, outcome: Outcome | None = None, old: Manifest | None = None, **spec: Any
) -> Any:
    return server_status(parse_server(server(**spec)), found, outcome or Outcome(), old or {}, NOW)


def said(found: Manifest) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one["reason"]) for one in found["conditions"]}


REJECTED = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": "exceeded quota: x",
}
STUCK = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": "timed out.",
}


@pytest.mark.parametrize(
    ("found", "ready", "reconciling", "stalled"),
    [
        (None, ("Unknown", "Deploying"), ("True", "Deploying"), ("False", "UpToDate")),
        (
            {**deployment(), "status": {}},
            ("Unknown", "Deploying"),
            ("True", "Deploying"),
            ("False", "UpToDate"),
        ),
        (deployment(), ("False", "PodsNotReady"), ("True", "RolloutInProgress"), ("False", "UpToDate")),
        (rolled_out(), ("True", "Available"), ("False", "UpToDate"), ("False", "UpToDate")),
        (rolled_out(0), ("False", "ScaledToZero"), ("False", "UpToDate"), ("False", "UpToDate")),
        (
            deployment(readyReplicas=1, availableReplicas=1, updatedReplicas=1),
            ("True", "Available"),
            ("True", "RolloutInProgress"),
            ("False", "UpToDate"),
        ),
        (
            deployment(conditions=[REJECTED]),
            ("False", "PodsRejected"),
            ("False", "PodsRejected"),
            ("True", "PodsRejected"),
        ),
        (
            deployment(conditions=[STUCK], availableReplicas=2),
            ("True", "Available"),
            ("False", "ProgressDeadlineExceeded"),
            ("True", "ProgressDeadlineExceeded"),
        ),
    ],
    ids=["no-deployment", "unseen", "no-pods", "done", "zero", "rolling", "quota", "stuck"],
)
def test_conditions(found: Any, ready: Any, reconciling: Any, stalled: Any) -> None:
    conditions = said(status(found))
    assert list(conditions) == TYPES
    assert (conditions["Ready"], conditions["Reconciling"], conditions["Stalled"]) == (
        ready,
        reconciling,
        stalled,
    )
    assert conditions["IndexReady"][0] == conditions["Available"][0]


def test_a_rollout_that_the_cluster_has_not_begun_is_one() -> None:
    behind = rolled_out()
    behind["metadata"]["generation"] = 4
    assert said(status(behind))["Reconciling"] == ("True", "RolloutInProgress")


@pytest.mark.parametrize(
    ("outcome", "reason", "words"),
    [
        (Outcome(taken=("Service docs",)), "NameTaken", "Service docs exists already"),
        (Outcome(refused="quota exceeded"), "ApplyRefused", "quota exceeded"),
    ],
)
def test_children_that_could_not_be_applied_make_it_unready(
    outcome: Outcome, reason: str, words: str
) -> None:
    found = status(rolled_out(), outcome=outcome)
    assert said(found)["Ready"] == ("False", reason)
    assert said(found)["Stalled"] == ("True", reason)
    assert said(found)["Available"] == ("True", "Available")
    assert words in found["conditions"][-1]["message"]


def test_suspended_pods_are_still_looked_at() -> None:
    assert said(status(rolled_out(), suspend=True)) == {
        "Ready": ("True", "Suspended"),
        "Available": ("True", "Available"),
        "IndexReady": ("True", "IndexLoaded"),
        "Reconciling": ("False", "Suspended"),
        "Stalled": ("False", "UpToDate"),
    }


def test_messages_of_the_cluster_reach_the_reader() -> None:
    assert "exceeded quota: x" in status(deployment(conditions=[REJECTED]))["conditions"][0]["message"]


def test_times_move_only_with_the_status() -> None:
    before = status(deployment())
    server_now = parse_server(server())
    after = server_status(server_now, rolled_out(), Outcome(), before, LATER)
    moved = {one["type"] for one in after["conditions"] if one["lastTransitionTime"] == LATER}
    assert moved == {"Ready", "Available", "IndexReady", "Reconciling"}
    assert server_status(server_now, rolled_out(), Outcome(), after, "2027-01-01T00:00:00Z") == after


def test_long_messages_are_cut() -> None:
    found = status(rolled_out(), outcome=Outcome(refused="x" * 5000))
    assert max(len(one["message"]) for one in found["conditions"]) == MESSAGE_LENGTH


def test_the_url_leaves_out_the_usual_port() -> None:
    assert status(None)["url"] == "http://docs.team.svc/mcp"
    assert status(None, service={"port": 8080})["url"] == "http://docs.team.svc:8080/mcp"


def test_an_invalid_spec_is_stalled_and_keeps_no_promise() -> None:
    found = invalid_status(4, "spec.replicas: no", status(rolled_out()), LATER)
    assert said(found)["Ready"] == ("False", "InvalidSpec")
    assert said(found)["Stalled"] == ("True", "InvalidSpec")
    assert "spec.replicas: no" in found["conditions"][0]["message"]
    assert found["observedGeneration"] == 4


def test_the_schema_has_a_place_for_everything() -> None:
    """What the schema doesn't know the API server would drop, and the operator write again for ever."""
    schema = SCHEMA["properties"]["status"]["properties"]
    found = status(rolled_out())
    assert found.keys() == schema.keys()
    assert all(
        one.keys() == schema["conditions"]["items"]["properties"].keys() for one in found["conditions"]
    )
    assert yaml.safe_load(yaml.safe_dump(found)) == found


def test_every_reason_is_used() -> None:
    source = inspect.getsource(status_module)
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in source] == []
