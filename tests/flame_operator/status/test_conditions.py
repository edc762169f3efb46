# ruff: noqa: ANN401 - JSON values
import inspect
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flame_operator.errors import Refused
from flame_operator.formats.text import MESSAGE_LENGTH
from flame_operator.ingestion.record import IngestionState, RunRecord
from flame_operator.reconcile import reconciler as reconciler_module
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import Condition, Reason
from flame_operator.resource.server import parse_server
from flame_operator.status import conditions as conditions_module
from flame_operator.status import index as index_module
from flame_operator.status import progress as progress_module
from flame_operator.status.conditions import PENDING, blocked_status, server_status
from flame_operator.status.outcome import Check, Outcome
from flame_operator.verification.verdict import Finding
from flame_operator.workloads.causes import Cause
from tests.support.operator.crd import SCHEMA
from tests.support.operator.fake_kube import server

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z"
TYPES = ["Ready", "Available", "IndexReady", "Verified", "Reconciling", "Stalled"]
GOOD = Check(Condition("True", Reason.ANSWERING, "It answers."), {"name": "flame-mcp"}, {"chunks": 7})


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
    return server_status(parse_server(server(**spec)), found, outcome or Outcome(check=GOOD), old or {}, NOW)


def test_external_urls_are_told_and_taken_back() -> None:
    urls = ("https://flame.example/mcp",)
    found = status(rolled_out(), outcome=Outcome(check=GOOD, external_urls=urls))
    assert found["externalURLs"] == list(urls)
    gone = status(rolled_out(), old=found)
    assert gone["externalURLs"] == []
    # It stays so: one that came and went was a difference that only some other change removed.
    assert status(rolled_out(), old=gone)["externalURLs"] == []
    # Nothing is written for a server that never had one.
    assert "externalURLs" not in status(rolled_out())


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
        (rolled_out(), ("True", "Answering"), ("False", "UpToDate"), ("False", "UpToDate")),
        (rolled_out(0), ("False", "ScaledToZero"), ("False", "UpToDate"), ("False", "UpToDate")),
        (
            deployment(readyReplicas=1, availableReplicas=1, updatedReplicas=1),
            ("True", "Answering"),
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
            ("True", "Answering"),
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
        (Outcome(names_taken=("Service docs",)), "NameTaken", "don't belong to it: Service docs"),
        (Outcome(refused=Refused("quota exceeded")), "ApplyRefused", "quota exceeded"),
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
        "Verified": ("True", "Answering"),
        "Reconciling": ("False", "Suspended"),
        "Stalled": ("False", "UpToDate"),
    }


def test_messages_of_the_cluster_reach_the_reader() -> None:
    assert "exceeded quota: x" in status(deployment(conditions=[REJECTED]))["conditions"][0]["message"]


def test_times_move_only_with_the_status() -> None:
    before = status(deployment())
    server_now = parse_server(server())
    after = server_status(server_now, rolled_out(), Outcome(check=GOOD), before, LATER)
    moved = {one["type"] for one in after["conditions"] if one["lastTransitionTime"] == LATER}
    assert moved == {"Ready", "Available", "IndexReady", "Verified", "Reconciling"}
    assert (
        server_status(server_now, rolled_out(), Outcome(check=GOOD), after, "2027-01-01T00:00:00Z") == after
    )


def test_long_messages_are_cut() -> None:
    found = status(rolled_out(), outcome=Outcome(refused=Refused("x" * 5000)))
    assert max(len(one["message"]) for one in found["conditions"]) == MESSAGE_LENGTH


def test_the_url_leaves_out_the_usual_port() -> None:
    assert status(None)["url"] == "http://docs.team.svc/mcp"
    assert status(None, service={"port": 8080})["url"] == "http://docs.team.svc:8080/mcp"


def test_an_invalid_spec_is_stalled_and_keeps_no_promise() -> None:
    found = blocked_status(4, Reason.INVALID_SPEC, "spec.replicas: no", status(rolled_out()), LATER)
    assert said(found)["Ready"] == ("False", "InvalidSpec")
    assert said(found)["Stalled"] == ("True", "InvalidSpec")
    assert "spec.replicas: no" in found["conditions"][0]["message"]
    assert found["observedGeneration"] == 4


def test_the_schema_has_a_place_for_everything() -> None:
    """What the schema doesn't know the API server would drop, and the operator write again for ever."""
    schema = SCHEMA["properties"]["status"]["properties"]
    every: Any = {one.name: 1 if one.type is int else NOW for one in fields(RunRecord)}
    record = RunRecord(**every)
    state = IngestionState(record, record, "progress", index={"chunks": 1}, copies=record, store_progress="p")
    found = status(
        rolled_out(),
        outcome=Outcome(check=GOOD, ingestion=state, external_urls=("https://flame.example/mcp",)),
        vectorStore={"type": "Managed"},
    )
    # Who handles it, and who else has found it, isn't what a pass finds: `Reporter` adds it.
    assert found.keys() == schema.keys() - {"operator", "contender"}
    for part in ("ingestion", "snapshots"):
        assert found[part].keys() <= schema[part]["properties"].keys()
    assert found["ingestion"].keys() == schema["ingestion"]["properties"].keys()
    assert found["server"].keys() <= schema["server"]["properties"].keys()
    assert found["index"].keys() <= schema["index"]["properties"].keys()
    assert all(
        one.keys() == schema["conditions"]["items"]["properties"].keys() for one in found["conditions"]
    )
    assert yaml.safe_load(yaml.safe_dump(found)) == found


BAD = Check(Condition("False", Reason.NOT_ANSWERING, "The MCP handshake failed."))


def test_ready_needs_an_answer() -> None:
    assert said(status(rolled_out(), outcome=Outcome()))["Ready"] == ("False", "NotVerified")
    assert said(status(rolled_out(), outcome=Outcome(check=BAD)))["Ready"] == ("False", "NotAnswering")


@pytest.mark.parametrize("check", [GOOD, BAD], ids=["good", "bad"])
def test_after_a_restart_the_last_finding_holds_until_there_is_a_new_one(check: Check) -> None:
    before = status(rolled_out(), outcome=Outcome(check=check))
    assert status(rolled_out(), outcome=Outcome(), old=before) == before


def test_without_pods_nothing_is_verified_whatever_was_found_before() -> None:
    before = status(rolled_out())
    after = status(deployment(), old=before)
    assert said(after)["Verified"] == ("Unknown", "NotVerified")
    back = status(rolled_out(), outcome=Outcome(), old=after)
    assert said(back)["Ready"] == ("False", "NotVerified")


def test_what_is_known_of_a_server_stays_until_something_else_is() -> None:
    before = status(rolled_out())
    assert before["server"] == {"name": "flame-mcp"}
    failed = status(rolled_out(), outcome=Outcome(check=BAD), old=before)
    assert (failed["server"], failed["index"]) == (before["server"], before["index"])
    other = Check(GOOD.verified, {"name": "other"}, {"chunks": 8})
    changed = status(rolled_out(), outcome=Outcome(check=other), old=failed)
    assert (changed["server"], changed["index"]) == ({"name": "other"}, {"chunks": 8})


MISSING = Outcome(missing=("spec.x: Secret team/a doesn't exist; create it",), check=GOOD)


def test_a_missing_reference_is_named_and_does_not_undo_what_runs() -> None:
    assert said(status(rolled_out(), outcome=MISSING))["Ready"] == ("True", "Answering")
    new = status(None, outcome=MISSING)
    assert said(new)["Ready"] == ("False", "ReferenceMissing")
    assert said(new)["Stalled"] == ("True", "ReferenceMissing")
    assert "Secret team/a" in new["conditions"][0]["message"]


def test_a_token_that_is_gone_is_said_at_once_unless_the_pods_cannot_be_stopped() -> None:
    gone = replace(MISSING, token_gone=True)
    assert said(status(rolled_out(), outcome=gone))["Ready"] == ("False", "TokenGone")
    refused = replace(gone, refused=Refused("no"))
    assert said(status(rolled_out(), outcome=refused))["Ready"] == ("False", "ApplyRefused")


def test_a_feature_that_is_switched_off_stalls_and_does_not_hide_why_pods_fail() -> None:
    off = Outcome(unsupported=("spec.httpRoute: no",), check=GOOD)
    assert said(status(rolled_out(), outcome=off))["Ready"] == ("True", "Answering")
    assert said(status(rolled_out(), outcome=off))["Stalled"] == ("True", "FeatureDisabled")
    assert said(status(deployment(), outcome=off))["Ready"] == ("False", "PodsNotReady")


def test_a_paced_rollout_says_that_it_waits() -> None:
    waiting = Outcome(waits_for_turn=True, check=GOOD)
    assert said(status(rolled_out(), outcome=waiting))["Reconciling"] == ("True", "WaitingForTurn")


def test_the_message_tells_what_pods_tell() -> None:
    found = status(deployment(), outcome=Outcome(why=Cause("The image x can't be pulled.")))
    assert found["conditions"][0]["message"] == "None of 2 pods is ready. The image x can't be pulled."


def test_every_reason_is_used() -> None:
    modules = (conditions_module, index_module, progress_module, reconciler_module)
    source = "".join(inspect.getsource(module) for module in modules)
    findings = {str(finding) for finding in Finding}
    unused = [reason for reason in Reason if f"Reason.{reason.name}" not in source and reason not in findings]
    assert unused == []
    assert findings <= {str(reason) for reason in Reason}


def test_there_are_few_reasons() -> None:
    assert len(Reason) <= 28, "replace one, or raise this if people need to tell the two apart"


def test_a_stale_index_is_said_and_served() -> None:
    record = RunRecord(job="docs-ingest-1", phase="Succeeded", loaded="x", succeeded=NOW)
    outcome = Outcome(check=GOOD, ingestion=IngestionState(record, stale=True))
    found = said(status(rolled_out(), outcome=outcome, vectorStore={"type": "Managed"}))
    assert found["IndexReady"] == ("False", "IndexStale")
    assert found["Ready"] == ("True", "Answering")


def test_every_reason_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/conditions.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \| \w", page, re.MULTILINE)) >= {str(reason) for reason in Reason}


def test_what_the_schema_says_of_a_new_resource_is_nobodys_finding() -> None:
    new = SCHEMA["properties"]["status"]["default"]
    assert {one["reason"] for one in new["conditions"]} == {PENDING}
    found = status(None, old=new)
    assert {one["lastTransitionTime"] for one in found["conditions"]} == {NOW}
