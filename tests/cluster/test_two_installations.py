"""Two installations of the operator find the same resources: one handles each, and the other is quiet."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, Json, server, target

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

Start = Callable[..., Operator]
QUIET_SECONDS = 8.0
ONE, TWO = "default/lease-one", "default/lease-two"
IMAGES = {ONE: "flame-mcp-server:one", TWO: "flame-mcp-server:two"}


def installation(start: Start, name: str, **env: str) -> Operator:
    """An operator with a Lease, a default image and an identity of its own."""
    lease = name.partition("/")[2]
    settings = {
        "FLAME_OPERATOR_LEASE_NAME": lease,
        "FLAME_OPERATOR_POD_NAME": lease,
        "FLAME_OPERATOR_IDENTITY": "",
        "FLAME_OPERATOR_SERVER_IMAGE": IMAGES[name],
        "FLAME_OPERATOR_RESYNC_SECONDS": "2",
    }
    return start(**{**settings, **env})


@pytest.fixture
def both(start_operator: Start) -> tuple[Operator, Operator]:
    return installation(start_operator, ONE), installation(start_operator, TWO)


def writes(cluster: Cluster, namespace: str) -> list[str]:
    """Who has written what in a namespace."""
    return [
        f"{event['userAgent'].partition('(')[2]} {target(event['objectRef'])}"
        for event in cluster.writes(namespace)
        if event.get("userAgent", "").startswith("flame-operator/")
    ]


def resource(cluster: Cluster, namespace: str) -> Json:
    return cluster.found("fmcp", "docs", namespace)


def holder(cluster: Cluster, namespace: str) -> str:
    return str((resource(cluster, namespace).get("status") or {}).get("operator", {}).get("name", ""))


def stalled(cluster: Cluster, namespace: str) -> dict[str, Any]:
    conditions = resource(cluster, namespace)["status"]["conditions"]
    found: dict[str, Any] = next((one for one in conditions if one["type"] == "Stalled"), {"reason": ""})
    return found


def image(cluster: Cluster, namespace: str) -> str:
    deployment = cluster.get("deployment", "docs", namespace)
    return deployment["spec"]["template"]["spec"]["containers"][0]["image"] if deployment else ""


def settled(cluster: Cluster, namespace: str) -> list[str]:
    """What has been written, once nothing has been for longer than two sweeps take."""
    before, since = writes(cluster, namespace), time.monotonic()

    def quiet() -> bool:
        nonlocal before, since
        now = writes(cluster, namespace)
        if now != before:
            before, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    cluster.wait_until("nothing to be written", quiet)
    return before


@pytest.mark.usefixtures("both")
def test_one_handles_a_resource_and_the_other_says_so_once(cluster: Cluster, namespace: str) -> None:
    cluster.apply(server("docs", namespace, replicas=0))
    cluster.wait_until(
        "a conflict to be told", lambda: stalled(cluster, namespace)["reason"] == "OperatorConflict"
    )
    written = settled(cluster, namespace)
    found = resource(cluster, namespace)
    name = holder(cluster, namespace)
    print(f"{len(written)} writes, then none: {written}")
    # Both have begun at the same moment: some children twice, never again and again.
    assert len(written) <= 25
    assert name in IMAGES
    (other,) = IMAGES.keys() - {name}
    assert image(cluster, namespace) == IMAGES[name]
    assert found["status"]["contender"] == {"name": other, "generation": 1}
    message = stalled(cluster, namespace)["message"]
    assert f"{name} handles it, and {other} stands back" in message

    # A change of the resource is the holder's, whatever the other sees.
    cluster.kubectl(
        "patch", "fmcp", "docs", "-n", namespace, "--type=merge", "-p", '{"spec":{"service":{"port":81}}}'
    )
    more = settled(cluster, namespace)[len(written) :]
    assert [one for one in more if one.startswith(other.partition("/")[2])] == [
        f"{other.partition('/')[2]}) flamemcpservers/status"
    ]
    assert image(cluster, namespace) == IMAGES[name]

    # And a user's word hands it over.
    word = f"flamemcp.dev/operator={other}"
    cluster.kubectl("annotate", "fmcp", "docs", "-n", namespace, word)
    cluster.wait_until("the other one to take over", lambda: image(cluster, namespace) == IMAGES[other])
    settled(cluster, namespace)
    assert holder(cluster, namespace) == other
    assert image(cluster, namespace) == IMAGES[other]
    assert stalled(cluster, namespace)["status"] == "False"


def test_an_operator_that_comes_later_leaves_all_as_it_is_and_may_inherit_it(
    cluster: Cluster, namespace: str, start_operator: Start
) -> None:
    first = installation(start_operator, ONE)
    cluster.apply(server("docs", namespace, replicas=0))
    cluster.wait_until("the first one to handle it", lambda: holder(cluster, namespace) == ONE)
    before = settled(cluster, namespace)
    second = installation(start_operator, TWO)
    cluster.wait_until(
        "a conflict to be told", lambda: stalled(cluster, namespace)["reason"] == "OperatorConflict"
    )
    more = settled(cluster, namespace)[len(before) :]
    assert [one for one in more if "events" not in one] == ["lease-two) flamemcpservers/status"]
    # The first one is uninstalled; the second is given its name, and goes on with all it had.
    first.stop()
    second.stop()
    installation(start_operator, TWO, FLAME_OPERATOR_IDENTITY=ONE)
    cluster.wait_until("the second one to take over", lambda: image(cluster, namespace) == IMAGES[TWO])


def test_a_class_is_a_world_of_its_own(cluster: Cluster, namespace: str, start_operator: Start) -> None:
    installation(start_operator, ONE)
    installation(start_operator, TWO, FLAME_OPERATOR_OPERATOR_CLASS="blue")
    cluster.apply(server("docs", namespace, replicas=0, operatorClass="blue"))
    cluster.wait_until("its operator to handle it", lambda: holder(cluster, namespace) == TWO)
    assert all(one.startswith("lease-two)") for one in settled(cluster, namespace))
    # A change of the class hands over: no conflict, and nothing is left of the other.
    before = len(writes(cluster, namespace))
    cluster.apply(server("docs", namespace, replicas=0))
    cluster.wait_until("the other operator to take over", lambda: image(cluster, namespace) == IMAGES[ONE])
    after = settled(cluster, namespace)[before:]
    assert all(one.startswith("lease-one)") for one in after)
    assert holder(cluster, namespace) == ONE
    assert stalled(cluster, namespace)["status"] == "False"


def test_an_excluded_namespace_is_left_alone(cluster: Cluster, start_operator: Start) -> None:
    left, handled = cluster.namespace(), cluster.namespace()
    installation(start_operator, ONE, FLAME_OPERATOR_EXCLUDE_NAMESPACES=f"{left},other")
    for namespace in (left, handled):
        cluster.apply(server("docs", namespace, replicas=0))
    cluster.wait_until("the other namespace to be handled", lambda: holder(cluster, handled) == ONE)
    settled(cluster, handled)
    assert writes(cluster, left) == []
