"""Several operators at once against a real API server: who writes, who takes over, and how soon."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.operator_process import Operator
from tests.support.charts.helm_cli import OPERATOR_CHART, render
from tests.support.cluster.cluster import Cluster, server
from tests.support.operator.metrics_page import documented

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HAND_OVER_SECONDS = 15
MANY = 40
MANAGED_BY = {"app.kubernetes.io/managed-by": "flame-operator"}

Start = Callable[..., Operator]


class Write(NamedTuple):
    """A write as the audit log has it; times are RFC 3339 and sort as text."""

    begun: str
    ended: str
    by: str


@pytest.fixture
def pair(start_operator: Start) -> tuple[Operator, Operator]:
    """A leader and a standby that has seen its lease."""
    leader = start_operator()
    standby = start_operator(ready=False)
    standby.wait_for("standing by")
    return leader, standby


def writes(cluster: Cluster, namespace: str) -> list[Write]:
    found = (
        (event, re.fullmatch(r"flame-operator/\S+ \((.+)\)", event.get("userAgent", "")))
        for event in cluster.writes(namespace)
    )
    return sorted(
        Write(event["requestReceivedTimestamp"], event["stageTimestamp"], agent[1])
        for event, agent in found
        if agent
    )


def writers(cluster: Cluster, namespace: str) -> list[str]:
    """Who has written, in turns: everything of one has ended before anything of the next begins."""
    turns: list[str] = []
    last_end = ""
    for write in writes(cluster, namespace):
        if turns[-1:] != [write.by]:
            assert write.begun > last_end, f"{write} overlaps one by {turns[-1]} that ended {last_end}"
            turns.append(write.by)
        last_end = max(last_end, write.ended)
    return turns


def complete(cluster: Cluster, namespace: str) -> int:
    """How many servers have all their children."""
    names = [
        one["metadata"]["name"]
        for kind in ("serviceaccounts", "configmaps", "deployments", "services")
        for one in cluster.items(kind, namespace)
        if MANAGED_BY.items() <= one["metadata"].get("labels", {}).items()
    ]
    return sum(names.count(name) == 4 for name in set(names))


def has_children(cluster: Cluster, namespace: str) -> bool:
    return complete(cluster, namespace) == 1


def apply_many(cluster: Cluster, namespace: str) -> None:
    # No pods: they would only keep the controllers busy.
    cluster.apply(*(server(f"docs-{number}", namespace, replicas=0) for number in range(MANY)))


@contextmanager
def busy(cluster: Cluster, namespace: str) -> Iterator[None]:
    """While more servers keep coming than the leader has worked on."""
    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(apply_many, cluster, namespace)
        cluster.wait_until("the leader to be at work", lambda: len(writes(cluster, namespace)) > 3)
        yield
        applying.result()


def test_one_of_two_works_and_both_are_ready(
    cluster: Cluster, namespace: str, pair: tuple[Operator, Operator]
) -> None:
    leader, standby = pair
    apply_many(cluster, namespace)
    cluster.wait_until("all children", lambda: complete(cluster, namespace) == MANY)
    assert writers(cluster, namespace) == ["operator-0"]
    for operator, role, leads in ((leader, "leader", 1), (standby, "standby", 0)):
        assert operator.get("/readyz")[0] == 200
        assert json.loads(operator.get("/healthz")[1])["role"] == role
        assert f"flame_operator_leader {leads}.0" in operator.get("/metrics")[1]
    standby.stop()


def test_when_the_leader_is_killed_another_one_takes_over_in_time(
    cluster: Cluster,
    namespace: str,
    pair: tuple[Operator, Operator],
) -> None:
    leader, _ = pair
    leader.kill()
    killed = time.monotonic()
    cluster.apply(server("docs", namespace))
    cluster.wait_until("the other one to act", lambda: writes(cluster, namespace) != [])
    took = time.monotonic() - killed
    print(f"hand-over after SIGKILL: {took:.1f} s")
    assert took <= HAND_OVER_SECONDS
    assert writers(cluster, namespace) == ["operator-1"]


def test_a_leader_that_is_asked_to_stop_finishes_and_hands_over_at_once(
    cluster: Cluster,
    namespace: str,
    pair: tuple[Operator, Operator],
) -> None:
    leader, standby = pair
    with busy(cluster, namespace):
        asked = time.monotonic()
        log = leader.stop()
        stopped = time.monotonic()
        standby.wait_until_ready()
        ready = time.monotonic()
    print(f"end after SIGTERM: {stopped - asked:.1f} s, hand-over after the end: {ready - stopped:.1f} s")
    assert ready - stopped < 5
    assert "lease released" in log
    assert "left undone" not in log
    cluster.wait_until("the rest", lambda: complete(cluster, namespace) == MANY)
    assert writers(cluster, namespace) == ["operator-0", "operator-1"]


def test_a_leader_that_stood_still_never_writes_again(
    cluster: Cluster, namespace: str, pair: tuple[Operator, Operator]
) -> None:
    leader, standby = pair
    with busy(cluster, namespace):
        leader.signal(signal.SIGSTOP)
    assert complete(cluster, namespace) < MANY, "it was through before it could be stopped"
    standby.wait_until_ready()
    cluster.wait_until("the other one to finish", lambda: complete(cluster, namespace) == MANY)
    cluster.kubectl("delete", "svc", "-n", namespace, "-l", "app.kubernetes.io/managed-by=flame-operator")
    leader.signal(signal.SIGCONT)
    assert leader.wait() == 1
    (line,) = leader.lines("the operator exits, to be started afresh")
    assert "lease" in line["reason"]
    assert "Traceback" not in leader.log.read_text()
    cluster.wait_until("the Services to come back", lambda: complete(cluster, namespace) == MANY)
    assert writers(cluster, namespace) == ["operator-0", "operator-1"]


def test_the_metrics_are_those_documented(cluster: Cluster, namespace: str, start_operator: Start) -> None:
    operator = start_operator(FLAME_OPERATOR_RESYNC_SECONDS="1")
    cluster.apply(server("docs", namespace))
    cluster.wait_until("its children", lambda: complete(cluster, namespace) == 1)
    operator.wait_for("swept")
    status, text = operator.get("/metrics")
    assert status == 200
    for name, (_, labels) in documented().items():
        samples = re.findall(rf"^{name}(?:_count)?(?:{{(.*)}})? \S+$", text, re.MULTILINE)
        # What hasn't happened yet has no sample where it has labels.
        if "verifications" not in name:
            assert samples, name
            assert set(re.findall(r"(\w+)=", samples[0])) >= set(labels), name
    assert 'flame_operator_api_requests_total{code="201",resource="services",verb="patch"}' in text
    assert f'"{namespace}"' not in text


def without_watch(cluster: Cluster, namespace: str, tmp_path: Path) -> Path:
    """The kubeconfig of somebody who may do everything but watch."""
    verbs = ["get", "list", "create", "update", "patch", "delete"]
    subject = {"kind": "ServiceAccount", "name": "blind", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"blind-{namespace}"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "blind", "namespace": namespace}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role["name"]},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["name"]},
            "roleRef": role,
            "subjects": [subject],
        },
    )
    return cluster.kubeconfig_of(namespace, "blind", tmp_path)


def test_a_watch_that_sees_nothing_ends_the_process(
    cluster: Cluster, namespace: str, tmp_path: Path, start_operator: Start
) -> None:
    operator = start_operator(
        kubeconfig=without_watch(cluster, namespace, tmp_path),
        FLAME_OPERATOR_RESYNC_SECONDS="1",
        FLAME_OPERATOR_WATCH_GRACE_SECONDS="5",
    )
    cluster.apply(server("docs", namespace))
    assert operator.wait() == 1
    (line,) = operator.lines("the operator exits, to be started afresh")
    assert "FlameMCPServer in all namespaces" in line["reason"]
    # The sweeps have seen to it all the same, and another one may lead.
    assert complete(cluster, namespace) == 1
    assert operator.lines("lease released")


def chart_account(cluster: Cluster, *arguments: str) -> tuple[str, str]:
    """Namespace and name of the service account that the chart makes, with the rights that it gives."""
    namespace = cluster.namespace()
    wanted = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    objects = render(OPERATOR_CHART, None, "-n", namespace, *arguments)
    bodies = [body for body in objects if body["kind"] in wanted]
    cluster.apply(*bodies)
    (account,) = (body["metadata"]["name"] for body in bodies if body["kind"] == "ServiceAccount")
    return namespace, account


@pytest.mark.parametrize("namespaced", [True, False], ids=["some namespaces", "all namespaces"])
def test_the_charts_rights_are_enough(
    cluster: Cluster, tmp_path: Path, start_operator: Start, namespaced: bool
) -> None:
    one, two, elsewhere = (cluster.namespace() for _ in range(3))
    served = [one, two] if namespaced else [one, two, elsewhere]
    values = ["--set", f"watchNamespaces={{{one},{two}}}"] if namespaced else []
    own, account = chart_account(cluster, *values)
    start_operator(
        *(f"--namespace={name}" for name in served if namespaced),
        kubeconfig=cluster.kubeconfig_of(own, account, tmp_path),
        FLAME_OPERATOR_NAMESPACE=own,
        FLAME_OPERATOR_LEASE_NAME=account,
    )
    for namespace in (elsewhere, one, two):
        cluster.apply(server("docs", namespace))
    for namespace in served:
        cluster.wait_until(f"the children in {namespace}", partial(has_children, cluster, namespace))
    if namespaced:
        assert cluster.operator_writes(elsewhere) == []
    user = f"system:serviceaccount:{own}:{account}"
    events = map(json.loads, cluster.audit_log.read_text().splitlines())
    codes = [event["responseStatus"]["code"] for event in events if event["user"]["username"] == user]
    assert codes
    assert 403 not in codes
