"""What the API server keeps of a status and shows of a resource, without an operator."""

from typing import Any

import pytest

from flame_operator.resource.kinds import SERVER
from tests.support.cluster.cluster import Cluster, Json
from tests.support.cluster.crd_fields import SCHEMA, fields, given_fields
from tests.support.cluster.dry_run import DRY_RUN, Client, Store, path_of, refused

pytestmark = pytest.mark.cluster

STATUS: Json = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-02T03:04:05Z",
            "reason": "Answering",
            "message": "It answers.",
        }
    ],
    "replicas": 2,
    "readyReplicas": 1,
    "selector": "app.kubernetes.io/instance=docs",
    "url": "http://docs.team.svc/mcp",
    "externalURLs": ["https://flame.example.com/mcp"],
    "mode": "FullStack",
    "operator": {"name": "flame-mcp-system/flame-mcp-operator", "class": "blue"},
    "contender": {"name": "other/flame-mcp-operator", "generation": 3},
    "server": {
        "name": "Flame MCP",
        "version": "0.1.0",
        "protocolVersion": "2025-11-25",
        "tools": ["get_flame_knowledge", "get_flame_page"],
    },
    "index": {
        "collection": "flame-docs-1",
        "documents": 90,
        "chunks": 1200,
        "sourceRevision": "7fd33de",
        "embedding": "text-embedding-3-small",
        "lastSuccessfulTime": "2026-01-02T03:04:05Z",
    },
    "ingestion": {
        "job": "docs-ingest-01234567",
        "phase": "Running",
        "message": "Qdrant cannot be reached.",
        "progress": "Step 2 of 3: cutting pages into chunks and embedding them.",
        "failure": "World",
        "trigger": "spec",
        "inputs": "0123456789abcdef",
        "attempt": 2,
        "startTime": "2026-01-02T03:04:05Z",
        "completionTime": "2026-01-02T03:04:05Z",
        "loadedInputs": "0123456789abcdef",
        "lastSuccessfulTime": "2026-01-02T03:04:05Z",
        "lastScheduleTime": "2026-01-02T03:04:05Z",
        "reindex": "1",
        "rollback": "2",
        "sources": "0123456789abcdef",
        "peers": 3,
        "copies": 3,
    },
}
STATUS["snapshots"] = STATUS["vectorStore"] = STATUS["ingestion"]


@pytest.fixture
def visited(client: Client, store: Store) -> Store:
    """Stores resources with a status, as after the operator's visit."""

    def create(name: str, namespace: str, **spec: Any) -> Json:  # noqa: ANN401 - JSON
        body = store(name, namespace, **spec)
        path = path_of(body) + "/status?fieldValidation=Strict"
        code, answer = client.send("PUT", path, {**body, "status": STATUS})
        assert code == 200, answer
        return answer

    return create


def test_every_field_of_the_status_is_kept(visited: Store) -> None:
    given = set(given_fields(STATUS, "status"))
    assert not set(fields(SCHEMA["properties"]["status"], "status")) - given
    assert visited("docs", "default")["status"] == STATUS


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"phase": "Running"}, 'unknown field "status.phase"'),
        ({"mode": "Cluster"}, 'supported values: "Standalone", "WithQdrant", "FullStack"'),
        ({"server": {"tools": ["a", "a"]}}, "Duplicate value"),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, "conditions[0].reason: Required value"),
        ({"conditions": STATUS["conditions"] * 2}, "Duplicate value"),
    ],
)
def test_a_wrong_status_is_refused(client: Client, store: Store, status: Json, says: str) -> None:
    body = store("docs", "default")
    path = path_of(body) + "/status" + DRY_RUN
    refused(*client.send("PUT", path, {**body, "status": status}), says)


def test_two_managers_share_the_conditions(client: Client, visited: Store) -> None:
    path = path_of(visited("docs", "default")) + "/status?fieldManager=somebody-else"
    other = {**STATUS["conditions"][0], "type": "Audited"}
    body = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "status": {"conditions": [other]}}
    code, answer = client.send("PATCH", path, body, kind="apply-patch+yaml")
    assert code == 200, answer
    assert [one["type"] for one in answer["status"]["conditions"]] == ["Ready", "Audited"]


def test_columns(cluster: Cluster, visited: Store, namespace: str) -> None:
    visited("docs", namespace, image="own:1")
    table = cluster.kubectl("get", "fmcp", "-n", namespace).stdout.splitlines()
    assert table[0].split() == ["NAME", "READY", "REASON", "MODE", "REPLICAS", "URL", "AGE"]
    assert table[1].split()[:6] == ["docs", "True", "Answering", "FullStack", "2", "http://docs.team.svc/mcp"]
    wide = cluster.kubectl("get", "mcp", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert wide[0].split()[7:] == ["IMAGE", "COLLECTION", "LAST-INGEST", "EXTERNAL-URL"]
    assert wide[1].split()[7:9] == ["own:1", "flame-docs-1"]
    assert wide[1].split()[-1] == "https://flame.example.com/mcp"


def test_the_scale_subresource(client: Client, cluster: Cluster, visited: Store) -> None:
    path = path_of(visited("docs", "default"))
    cluster.kubectl("scale", "fmcp/docs", "--replicas=3", "-n", "default")
    _, scale = client.send("GET", path + "/scale")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": STATUS["selector"]}


def test_a_resource_with_autoscaling_refuses_to_be_scaled(cluster: Cluster, store: Store) -> None:
    store("docs", "default", autoscaling={})
    done = cluster.kubectl("scale", "fmcp/docs", "--replicas=3", "-n", "default", check=False)
    assert done.returncode != 0
    assert "replicas and autoscaling exclude each other" in done.stderr


@pytest.mark.parametrize(
    ("field", "value"),
    [("spec.embedding.type", "None"), ("spec.vectorStore.type", "Managed"), ("spec.image", "own:1")],
)
def test_selectable_fields(client: Client, store: Store, field: str, value: str) -> None:
    store("one", "default")
    two = {"embedding": {"type": "None"}, "vectorStore": {"type": "Managed"}, "image": "own:1"}
    store("two", "default", **two)
    _, found = client.send("GET", f"{SERVER.path('default')}?fieldSelector={field}%3D{value}")
    assert [item["metadata"]["name"] for item in found["items"]] == ["two"]
