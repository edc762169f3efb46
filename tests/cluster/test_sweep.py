"""Sweeps find what no watch tells, and write nothing where nothing has changed.

Each operator is alone here, with a namespace of its own: beside another one both would write.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from flame_operator.resource.kinds import SERVER, WATCHED_KINDS
from tests.harness.operator_process import Operator
from tests.harness.proxy import FaultProxy
from tests.support.cluster.cluster import Cluster, server
from tests.support.cluster.default_children import wait_until_at_rest

pytestmark = pytest.mark.cluster

WATCHED = {kind.plural for kind in (SERVER, *WATCHED_KINDS)}


def test_a_sweep_finds_what_no_watch_tells(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    with FaultProxy(cluster.plane, namespace, tmp_path) as proxy:
        proxy.hold(lambda event: event["object"]["metadata"].get("namespace") == namespace)
        operator = Operator(
            proxy.kubeconfig, tmp_path / "log", "--namespace", namespace, FLAME_OPERATOR_RESYNC_SECONDS="1"
        )
        cluster.wait_until("all watches to be open", lambda: proxy.watched >= WATCHED)
        cluster.apply(server("docs", namespace))
        cluster.wait_until(
            "a sweep to find it", lambda: cluster.get("service", "docs", namespace) is not None
        )
        assert proxy.release() > 0
        cluster.wait_for_condition("docs", namespace, "Ready", ("False", "PodsNotReady"))
        operator.stop()
        # The news of what the operator had written itself, late as they were, changed nothing.
        writes = [write for write in cluster.operator_writes(namespace) if "status" not in write]
        assert sorted(writes) == sorted(set(writes))


def test_nothing_is_written_without_a_change_nor_after_a_restart(
    cluster: Cluster, namespace: str, start_operator: Callable[..., Operator]
) -> None:
    first = start_operator("--namespace", namespace, FLAME_OPERATOR_RESYNC_SECONDS="1")
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    before = cluster.operator_writes(namespace)
    first.wait_for("swept", count=len(first.lines("swept")) + 3)
    assert cluster.operator_writes(namespace) == before
    first.stop()
    second = start_operator("--namespace", namespace, FLAME_OPERATOR_RESYNC_SECONDS="1")
    second.wait_for("swept", count=3)
    assert [line["missed"] for line in second.lines("swept")] == [0] * len(second.lines("swept"))
    assert cluster.operator_writes(namespace) == before
