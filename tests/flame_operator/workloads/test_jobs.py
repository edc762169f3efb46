"""How a run ended, or how far it is, whatever others have added to its pod."""

import json
from typing import Any

import pytest

from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.causes import Cause
from flame_operator.workloads.jobs import ENDING, Ended, activity, progress
from flame_operator.workloads.jobs import ended as how_it_ended
from tests.support.operator.pods import LATER, crashed, ended, pod, runs, waiting

STEPS = ("fetch", "build", "publish")
PUBLISHED = json.dumps(
    {"step": "publish", "collection": "flame-docs__latest__1", "documents": 2, "chunks": 7}
)
FAILED = json.dumps({"error": {"kind": "user", "step": "publish", "message": "There is no branch nightly."}})
PROXY = {"name": "mesh-proxy"}
SOON = "2026-01-01T00:00:30Z"


def job(last: str = "", reason: str = "", *, steps: tuple[str, ...] = STEPS, **extra: Any) -> Manifest:  # noqa: ANN401
    """The Job of a run, with a container that a policy has added to it."""
    names = [{"name": name} for name in steps]
    spec = {"initContainers": names[:-1], "containers": [PROXY, names[-1]]}
    conditions = [{"type": last, "status": "True", "reason": reason, "message": "m"} | extra] if last else []
    return {
        "metadata": {"name": "docs-ingest-1", "namespace": "team"},
        "spec": {"template": {"spec": spec}},
        "status": {"conditions": conditions},
    }


DONE = (ended("fetch"), ended("build"))


@pytest.mark.parametrize(
    ("last", "proxy"),
    [
        ("", runs("mesh-proxy")),
        ("Failed", ended("mesh-proxy", 1)),
        ("Failed", runs("mesh-proxy")),
        ("Complete", ended("mesh-proxy")),
    ],
    ids=["never-ends", "fails", "deadline", "complete"],
)
def test_a_run_whose_publish_succeeded_is_a_success_whatever_others_do(last: str, proxy: Manifest) -> None:
    one = pod(proxy, ended("publish", message=PUBLISHED), init=DONE, phase="Running")
    found = how_it_ended(job(last, "DeadlineExceeded"), [one])
    assert found is not None
    assert (found.succeeded, found.message) == (True, "2 pages, 7 chunks.")
    assert found.index["collection"] == "flame-docs__latest__1"


def test_what_others_say_is_not_the_runs_result() -> None:
    lie = ended("mesh-proxy", message=json.dumps({"collection": "theirs", "documents": 9, "chunks": 9}))
    found = how_it_ended(job("Complete"), [pod(ended("publish", message=PUBLISHED), lie, init=DONE)])
    assert found is not None
    assert found.index["collection"] == "flame-docs__latest__1"


def test_a_publish_that_failed_beside_a_container_that_never_ends_ends_the_run_after_a_while() -> None:
    one = pod(runs("mesh-proxy"), ended("publish", 1, FAILED), init=DONE, phase="Running")
    assert how_it_ended(job(), [one], now=SOON) is None
    assert how_it_ended(job(), [one], now=LATER) == Ended(False, "User", "There is no branch nightly.")
    # As long as Kubernetes may start another pod, a failure isn't the end.
    assert how_it_ended(job(), [{**one, "status": {**one["status"], "phase": "Failed"}}], now=LATER) is None


DEADLINE = "It took longer than ingestion.deadlineSeconds allows: raise it, or make the sources smaller."
NEVER_WORKED = "It was stopped after ingestion.deadlineSeconds, and hadn't got to work."
NO_IMAGE = "The image flame:1 can't be pulled: check its name, spec.imagePullSecrets and the registry."


@pytest.mark.parametrize(
    ("pods", "told", "message"),
    [
        ([], "Step 2 of 3: cutting pages into chunks and embedding them.", DEADLINE),
        ([], "", DEADLINE),
        ([pod(ended("publish", 1, FAILED), init=DONE)], "", "There is no branch nightly."),
        (
            [],
            "The cluster refuses to create pods: quota.",
            f"{NEVER_WORKED} The cluster refuses to create pods: quota.",
        ),
        (
            [pod(init=(waiting("ImagePullBackOff", name="fetch"),))],
            "",
            f"{NEVER_WORKED} {NO_IMAGE}",
        ),
    ],
    ids=["worked", "unknown", "failed", "refused", "image"],
)
def test_the_advice_for_a_deadline_fits_the_cause(pods: list[Manifest], told: str, message: str) -> None:
    found = how_it_ended(job("Failed", "DeadlineExceeded"), pods, progress=told, now=LATER)
    assert found is not None
    assert (found.succeeded, found.message) == (False, message)


def test_a_crash_is_told_with_its_last_words() -> None:
    words = "MemoryError: no room"
    one = pod(waiting("PodInitializing"), init=(ended("fetch"), ended("build", 137, words)))
    found = how_it_ended(job("Failed", "BackoffLimitExceeded"), [one])
    assert found == Ended(
        False,
        "Internal",
        f'The container build ended with exit code 137: "{words}". See the log of Job docs-ingest-1.',
    )


@pytest.mark.parametrize(
    ("one", "said", "doing"),
    [
        (pod(init=(runs("fetch"),)), "Step 1 of 3: fetching the sources.", "working"),
        (
            pod(waiting("PodInitializing"), init=(ended("fetch"), runs("build"))),
            "Step 2 of 3: cutting pages into chunks and embedding them.",
            "working",
        ),
        (
            pod(runs("mesh-proxy"), runs("publish"), init=DONE),
            "Step 3 of 3: loading the new collection and checking it.",
            "working",
        ),
        (
            pod(init=(runs("istio-proxy"), waiting("PodInitializing", name="fetch"))),
            "Its pod is starting.",
            "starting",
        ),
        (pod(runs("mesh-proxy"), ended("publish"), init=DONE), ENDING, "starting"),
        (pod(init=(ended("fetch", 1, FAILED),)), "Trying again: There is no branch nightly.", "starting"),
        (pod(waiting("ErrImagePull", name="publish")), "Its pod is starting.", "stuck"),
        (pod(), "Its pod is starting.", "waiting"),
        ({**pod(), "spec": {"nodeName": "node-1"}}, "Its pod is starting.", "starting"),
    ],
    ids=["first", "second", "third", "native-sidecar", "sidecar-left", "retry", "stuck", "no-node", "node"],
)
def test_progress_counts_only_own_steps(one: Manifest, said: str, doing: str) -> None:
    assert progress(job(), [one]) == said
    assert activity(job(), [one]) == doing


def test_progress_tells_what_keeps_a_run_from_working() -> None:
    cause = Cause("The image x can't be pulled.")
    assert (
        progress(job(), [], cause)
        == progress(job(), [pod(waiting("PodInitializing"))], cause)
        == cause.message
    )
    assert progress(job(), []) == "Its pod is being created."
    assert progress(job(), [pod(runs("publish"))], cause) != cause.message
    assert progress(job(steps=("rollback",)), [pod(runs("rollback"))]) == "going back to the previous index."


def test_a_job_without_steps_of_the_operator_is_judged_by_kubernetes() -> None:
    foreign = {**job("Failed"), "spec": None}
    found = how_it_ended(foreign, [pod(crashed(1))])
    assert found is not None
    assert not found.succeeded
    assert how_it_ended({**job(), "spec": None}, [pod(ended("publish"))], now=LATER) is None
