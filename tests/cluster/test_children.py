"""Children on a real API server: it takes them, and gives them back so that they don't look like drift."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flame_operator.changes.compare import corrections, is_subset
from flame_operator.desired.children import desired_children
from flame_operator.resource.kinds import OPTIONAL_KINDS, Manifest
from flame_operator.resource.server import parse_server
from tests.support.cluster.cluster import Cluster
from tests.support.operator.children import DEFAULTS, facts
from tests.support.operator.fake_kube import server

GOLDEN = {
    path.name.removesuffix(".in.yaml"): yaml.safe_load(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "flame_operator/desired/golden").glob("*.in.yaml"))
}
# What the API server writes otherwise than it was sent.
ODD: dict[str, dict[str, Any]] = {
    "rounded": {"resources": {"requests": {"cpu": "0.7m", "memory": "0.0438865Ki"}}},
    "capped": {"resources": {"limits": {"memory": "99999E", "ephemeral-storage": "1e30"}}},
    "empty": {"env": [{"name": "A"}], "service": {"annotations": {"example.com/a": ""}}},
    "affinity": {"scheduling": {"affinity": {"nodeAffinity": {}, "podAffinity": {}}}},
    "scaling": {"autoscaling": {"minReplicas": 1, "behavior": {"scaleUp": {}, "scaleDown": {}}}},
}
SERVERS = GOLDEN | {name: server(name, **spec) for name, spec in ODD.items()}
NOT_INSTALLED = {kind.kind for kind in OPTIONAL_KINDS}

pytestmark = pytest.mark.cluster


def wanted_in(namespace: str, body: Manifest) -> list[Manifest]:
    """The children of a resource, without an owner, who isn't there: garbage collection would act."""
    placed = {**body["metadata"], "namespace": namespace}
    one = parse_server({**body, "metadata": placed}, forbid_unknown=True)
    children = copy.deepcopy(desired_children(one, DEFAULTS, facts(one)))
    for child in children:
        del child["metadata"]["ownerReferences"]
    return [child for child in children if child["kind"] not in NOT_INSTALLED]


def apply(cluster: Cluster, children: list[Manifest]) -> list[Manifest]:
    """Applies as the operator does; returns what the API server has then."""
    how = ("--server-side", "--force-conflicts", "--field-manager=flame-operator", "-o", "json")
    result = cluster.kubectl("apply", *how, "-f", "-", text=yaml.safe_dump_all(children))
    found: Any = json.loads(result.stdout)
    items: list[Manifest] = found["items"] if found["kind"] == "List" else [found]
    return items


@pytest.mark.parametrize("name", SERVERS)
def test_applied_children_are_no_drift(cluster: Cluster, namespace: str, name: str) -> None:
    children = wanted_in(namespace, SERVERS[name])
    live = apply(cluster, children)
    for wanted, found in zip(children, live, strict=True):
        assert is_subset(wanted, found), (wanted, found)
        assert corrections(wanted, found) == []


@pytest.mark.parametrize(
    ("kind", "golden", "patch"),
    [
        ("NetworkPolicy", "locked-down", {"op": "add", "path": "/spec/ingress/-", "value": {}}),
        (
            "NetworkPolicy",
            "locked-down",
            {"op": "add", "path": "/spec/egress/0/ports/0/endPort", "value": 60000},
        ),
        (
            "NetworkPolicy",
            "locked-down",
            {"op": "add", "path": "/spec/ingress/0/from/1/namespaceSelector", "value": {}},
        ),
        (
            "Ingress",
            "openai-bearer-exposed",
            {
                "op": "add",
                "path": "/spec/rules/-",
                "value": {
                    "host": "other.example",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "x", "port": {"number": 1}}},
                            }
                        ]
                    },
                },
            },
        ),
        (
            "HorizontalPodAutoscaler",
            "autoscaled",
            {"op": "remove", "path": "/spec/metrics/1"},
        ),
    ],
)
def test_applying_again_takes_away_what_others_have_put_in(
    cluster: Cluster, namespace: str, kind: str, golden: str, patch: dict[str, Any]
) -> None:
    (wanted,) = (child for child in wanted_in(namespace, GOLDEN[golden]) if child["kind"] == kind)
    apply(cluster, [wanted])
    cluster.kubectl(
        "patch", kind, wanted["metadata"]["name"], "-n", namespace, "--type=json", "-p", json.dumps([patch])
    )
    assert not is_subset(wanted, cluster.found(kind, wanted["metadata"]["name"], namespace))
    (repaired,) = apply(cluster, [wanted])
    assert is_subset(wanted, repaired)
