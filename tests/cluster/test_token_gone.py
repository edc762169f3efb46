"""A token that is taken away stops working, and comes back without a loss.

There is no node, so the test says what kubelets would: that pods are ready.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, Json, server
from tests.support.cluster.pods import set_pods_ready

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

SPEC: Json = {
    "replicas": 3,
    "auth": {"type": "Bearer", "bearer": {"tokenSecretRef": {"name": "tokens", "key": "bearer"}}},
}


def store(cluster: Cluster, namespace: str, value: str) -> None:
    metadata = {"name": "tokens", "namespace": namespace}
    data = {"bearer": base64.b64encode(value.encode()).decode()}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def names(cluster: Cluster, namespace: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.items("pods", namespace)}


def test_pods_end_with_the_token_and_their_number_comes_back_with_it(
    cluster: Cluster, namespace: str, start_operator: Callable[..., Operator]
) -> None:
    start_operator(FLAME_OPERATOR_REFERENCE_POLL_SECONDS="1")
    store(cluster, namespace, "one")
    cluster.apply(server("docs", namespace, **SPEC))
    cluster.wait_until("three pods", lambda: len(names(cluster, namespace)) == 3)
    before = names(cluster, namespace)
    set_pods_ready(cluster, namespace, ready=True)
    cluster.wait_for_condition("docs", namespace, "Available", ("True", "Available"))
    revision = cluster.found("deployment", "docs", namespace)["spec"]

    cluster.kubectl("delete", "secret", "tokens", "-n", namespace)
    cluster.wait_for_condition("docs", namespace, "Ready", ("False", "TokenGone"))
    # All at once, although none of those that follow is ready.
    cluster.wait_until("the old pods to end", lambda: not before & names(cluster, namespace))
    cluster.wait_for_condition("docs", namespace, "Available", ("False", "PodsNotReady"))
    found = cluster.found("deployment", "docs", namespace)["spec"]
    assert (found["strategy"], found["replicas"]) == ({"type": "Recreate"}, 3)

    store(cluster, namespace, "one")
    cluster.wait_until(
        "the Deployment as it was",
        lambda: cluster.found("deployment", "docs", namespace)["spec"] == revision,
    )
    cluster.wait_for_condition("docs", namespace, "Stalled", ("False", "UpToDate"))

    def all_serve() -> bool:
        set_pods_ready(cluster, namespace, ready=True)
        return cluster.conditions("docs", namespace)["Reconciling"] == ("False", "UpToDate")

    cluster.wait_until("the rollout to end", all_serve)
    assert len(names(cluster, namespace)) == 3


def test_a_changed_token_replaces_pods_one_by_one(
    cluster: Cluster, namespace: str, start_operator: Callable[..., Operator]
) -> None:
    start_operator(FLAME_OPERATOR_REFERENCE_POLL_SECONDS="1")
    store(cluster, namespace, "one")
    cluster.apply(server("docs", namespace, **SPEC))
    cluster.wait_until("three pods", lambda: len(names(cluster, namespace)) == 3)
    before = names(cluster, namespace)
    set_pods_ready(cluster, namespace, ready=True)
    cluster.wait_for_condition("docs", namespace, "Reconciling", ("False", "UpToDate"))
    store(cluster, namespace, "two")
    cluster.wait_until("a pod with the new token", lambda: len(names(cluster, namespace)) == 4)
    # The new one isn't ready, so the old ones go on.
    assert before < names(cluster, namespace)
    assert cluster.conditions("docs", namespace)["Stalled"] == ("False", "UpToDate")

    def all_are_new() -> bool:
        set_pods_ready(cluster, namespace, ready=True)
        return not before & names(cluster, namespace)

    cluster.wait_until("all pods to be replaced", all_are_new)
