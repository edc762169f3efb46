"""Sweeps find what no watch tells. Alone here: beside another operator both would write."""

from pathlib import Path

import pytest

from flame_operator.resource.kinds import SERVER, WATCHED_KINDS
from tests.harness.operator_process import Operator
from tests.harness.proxy import FaultProxy
from tests.support.cluster.cluster import Cluster, server

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
