"""The operator as a process: its namespaces, its probes, its rights, and its end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, server
from tests.support.cluster.default_children import children, wait_until_at_rest

pytestmark = pytest.mark.cluster


def test_only_the_named_namespaces_are_served(
    cluster: Cluster, start_operator: Callable[..., Operator]
) -> None:
    one, two, elsewhere = (cluster.namespace() for _ in range(3))
    start_operator("--namespace", one, "-n", two)
    for namespace in (elsewhere, one, two):
        cluster.apply(server("docs", namespace))
    for namespace in (one, two):
        wait_until_at_rest(cluster, namespace)
    assert not any(children(cluster, elsewhere).values())
    assert cluster.operator_writes(elsewhere) == []


def test_the_successor_of_a_killed_operator_repeats_no_write(
    cluster: Cluster, namespace: str, start_operator: Callable[..., Operator]
) -> None:
    first = start_operator()
    cluster.apply(server("docs", namespace))
    wait_until_at_rest(cluster, namespace)
    first.kill()
    cluster.kubectl("delete", "svc", "docs", "-n", namespace)
    before = len(cluster.operator_writes(namespace))
    start_operator()
    cluster.wait_until("the Service to come back", lambda: cluster.get("svc", "docs", namespace) is not None)
    assert cluster.operator_writes(namespace)[before:] == ["patch services"]


def test_probes_answer(cluster: Cluster, operator: Operator) -> None:
    cluster.wait_until("readiness", lambda: operator.get("/readyz")[0] == 200)
    status, body = operator.get("/healthz")
    assert status == 200
    assert json.loads(body)["role"] == "leader"


def test_an_operator_without_rights_says_what_to_do(tmp_path: Path, cluster: Cluster) -> None:
    kubeconfig = yaml.safe_load(cluster.plane.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {}
    anonymous = tmp_path / "kubeconfig"
    anonymous.write_text(yaml.safe_dump(kubeconfig))
    for election, message in (("true", "can't use its Lease"), ("false", "can't use its own Secret")):
        log = tmp_path / f"{election}.log"
        operator = Operator(anonymous, log, FLAME_OPERATOR_LEADER_ELECTION=election)
        assert operator.wait() == 1
        text = log.read_text()
        assert f"error: the operator {message}" in text
        assert "RBAC" in text
        assert "Traceback" not in text
