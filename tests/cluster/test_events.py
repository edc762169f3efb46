"""Events against a real API server, as `kubectl describe` shows them."""

import asyncio
from collections import Counter

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from flame_operator.api.kube import AioKube
from flame_operator.api.transport import Transport, open_session
from flame_operator.formats.times import utc_now
from flame_operator.status.events import Event
from flame_operator.status.recorder import Recorder
from tests.support.cluster.cluster import Cluster, Json, server

pytestmark = pytest.mark.cluster

READY = Event("Normal", "Ready", "The MCP handshake and the canary query were answered.")
SILENT = Event("Warning", "NotAnswering", "The canary query failed: connection refused.")


@pytest.fixture
def resource(cluster: Cluster, namespace: str) -> Json:
    cluster.apply(server("docs", namespace))
    return cluster.found("fmcp", "docs", namespace)


async def write(cluster: Cluster, resource: Json, *events: Event) -> Counter[str]:
    """What became of events that an operator records that was just started."""
    results: Counter[str] = Counter()
    configuration = Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]  # the client's own gap
        str(cluster.plane.kubeconfig), client_configuration=configuration, persist_config=False
    )
    async with open_session(configuration, 2, "test") as session:
        recorder = Recorder(
            AioKube(Transport(configuration, session, concurrency=2)),
            per_second=100,
            instance="operator-1",
            now=utc_now,
            observe=lambda result: results.update([result]),
        )
        for event in events:
            recorder.record(resource, event)
        async with asyncio.timeout(30):
            await recorder.drain()
    return results


async def test_describe_shows_events_and_repeats_do_not_pile_up(
    cluster: Cluster, namespace: str, resource: Json
) -> None:
    assert await write(cluster, resource, SILENT, READY, SILENT) == {"written": 2}
    described = cluster.kubectl("describe", "fmcp", "docs", "-n", namespace).stdout
    shown = described.partition("Events:")[2]
    assert SILENT.message in shown
    assert "(x2 over " in shown
    assert "flame-operator" in shown
    # The operator after a restart says the same: it is still one event.
    assert await write(cluster, resource, SILENT) == {"written": 1}
    events = {event["reason"]: event for event in cluster.items("events", namespace)}
    assert sorted(events) == ["NotAnswering", "Ready"]
    assert events["NotAnswering"]["involvedObject"]["uid"] == resource["metadata"]["uid"]
    assert len(cluster.items("events", namespace)) == 2
    waited = cluster.kubectl("events", "--for", "fmcp/docs", "--types=Warning", "-n", namespace).stdout
    assert SILENT.message in waited


async def test_the_longest_message_is_taken(cluster: Cluster, namespace: str, resource: Json) -> None:
    assert await write(cluster, resource, Event("Warning", "ApplyRefused", "ü" * 2000)) == {"written": 1}
    (event,) = cluster.items("events", namespace)
    assert event["message"] == "ü" * 1024


async def test_nothing_is_written_into_a_namespace_that_goes(
    cluster: Cluster, namespace: str, resource: Json
) -> None:
    # Something that stays keeps the namespace from going before the event comes.
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "stays", "namespace": namespace, "finalizers": ["example.com/stay"]},
        }
    )
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    assert await write(cluster, resource, READY) == {"dropped": 1}
    cluster.kubectl(
        "patch", "cm", "stays", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
