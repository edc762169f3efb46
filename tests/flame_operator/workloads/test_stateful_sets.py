"""The state of a managed Qdrant, as its StatefulSet tells."""

from typing import Any

import pytest

from flame_operator.workloads.stateful_sets import claim_metadata, is_whole, ready_peers, replicas_now


def store(
    replicas: int = 1,
    *,
    ready: int = 1,
    mode: bool = True,
    revisions: tuple[str, str] = ("a", "a"),
    generation: int = 2,
    seen: int = 2,
) -> dict[str, Any]:
    env = [{"name": "QDRANT__CLUSTER__ENABLED", "value": "true"}] if mode else []
    return {
        "metadata": {"generation": generation},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "qdrant", "env": env}]}},
        },
        "status": {
            "observedGeneration": seen,
            "readyReplicas": ready,
            "currentRevision": revisions[0],
            "updateRevision": revisions[1],
        },
    }


def test_peers_are_added_only_to_one_that_runs_in_cluster_mode() -> None:
    assert replicas_now(3, None) == 3
    # Of an earlier operator; then the new template is there, and then the pod has been replaced.
    assert replicas_now(3, store(mode=False)) == 1
    assert replicas_now(3, store(seen=1)) == 1
    assert replicas_now(3, store(revisions=("a", "b"))) == 1
    assert replicas_now(3, store()) == 3
    # One that isn't ready has been in cluster mode before: it may miss the others.
    assert replicas_now(3, store(ready=0)) == 3
    assert replicas_now(5, store(3, ready=2, revisions=("a", "b"))) == 5
    assert replicas_now(1, store(mode=False)) == 1


@pytest.mark.parametrize("ready", [0, 1])
def test_pods_that_wait_for_the_first_one_are_taken_away_until_it_is_replaced(ready: int) -> None:
    """They were added to one without cluster mode, or all of them had a wrong image."""
    stuck = store(3, ready=ready, revisions=("a", "b"))
    assert replicas_now(3, stuck) == 1
    # Then the first pod is replaced alone, and the others come back.
    assert replicas_now(3, store(1, ready=ready, revisions=("a", "b"))) == 1
    assert replicas_now(3, store(1, revisions=("b", "b"))) == 3
    # A first start isn't stuck, nor is one whose status isn't known yet.
    assert replicas_now(3, store(3, ready=ready)) == 3
    assert replicas_now(3, store(3, ready=ready, revisions=("a", "b"), seen=1)) == 3
    # Peers that have been one cluster have data, and find each other.
    assert replicas_now(3, stuck, complete=True) == 3


def test_it_is_whole_with_all_pods_and_all_of_them_ready() -> None:
    assert is_whole(3, store(3, ready=3))
    assert not is_whole(3, store(3, ready=2))
    assert not is_whole(3, store(1, ready=1))
    assert not is_whole(3, store(3, ready=3, seen=1))
    assert not is_whole(1, None)
    assert (ready_peers(None), ready_peers({"status": {}}), ready_peers(store(3, ready=2))) == (0, 0, 2)


def test_what_others_have_written_is_no_number() -> None:
    broken: dict[str, Any] = {"metadata": {}, "spec": {"replicas": "many"}, "status": {"readyReplicas": "x"}}
    assert replicas_now(3, broken) == 3
    assert not is_whole(3, broken)


def test_the_metadata_of_claims() -> None:
    assert claim_metadata(None) is None
    nothing: dict[str, Any] = {"labels": {}, "annotations": {}}
    assert claim_metadata(store()) == nothing
    templates = [{"metadata": {"name": "storage", "labels": {"a": "b"}, "creationTimestamp": None}}]
    one = {"metadata": {}, "spec": {"volumeClaimTemplates": templates}}
    assert claim_metadata(one) == nothing | {"labels": {"a": "b"}}
