"""Manners of clusters: how pods are replaced, CPU limits, and on which nodes all kinds of pods run."""

from typing import Any

import pytest

from flame_operator.desired.ingestion_job import job
from flame_operator.desired.run import Run
from tests.support.operator.children import DEFAULTS, children, parse, pod

NODES = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]}
        ]
    }
}
PODS = {
    "requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}
    ]
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}),
        ({"type": "Recreate"}, {"type": "Recreate"}),
        (
            {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}},
            {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "maxSurge": 0}},
        ),
    ],
)
def test_pods_are_replaced_as_the_spec_says(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert children(deploymentStrategy=given)["Deployment"]["spec"]["strategy"] == expected


@pytest.mark.parametrize("nothing", [0, "0", "0m", "0.0"])
def test_a_cpu_limit_of_nothing_is_none(nothing: str | int) -> None:
    found = pod(resources={"requests": {"cpu": 2}, "limits": {"cpu": nothing}})["containers"][0]["resources"]
    assert found["requests"]["cpu"] == "2"
    assert found["limits"] == {"memory": "512Mi", "ephemeral-storage": "256Mi"}
    alone = pod(resources={"limits": {"cpu": nothing}})["containers"][0]["resources"]
    assert (alone["requests"]["cpu"], "cpu" in alone["limits"]) == ("100m", False)


def test_nodes_are_chosen_for_all_pods_and_neighbours_for_the_servers_only() -> None:
    scheduling = {
        "affinity": {"nodeAffinity": NODES, "podAntiAffinity": PODS},
        "priorityClassName": "high",
        "topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    }
    spec: dict[str, Any] = {"vectorStore": {"type": "Managed"}, "scheduling": scheduling}
    wanted = children(**spec)
    server, qdrant = (wanted[kind]["spec"]["template"]["spec"] for kind in ("Deployment", "StatefulSet"))
    load = job(parse(**spec), DEFAULTS, Run("ingest", "", ""))["spec"]["template"]["spec"]
    assert server["affinity"] == {"nodeAffinity": NODES, "podAntiAffinity": PODS}
    assert load["affinity"] == {"nodeAffinity": NODES}
    assert qdrant["affinity"]["nodeAffinity"] == NODES
    (term,) = qdrant["affinity"]["podAntiAffinity"].values()
    assert term[0]["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert {one["priorityClassName"] for one in (server, qdrant, load)} == {"high"}
    (spread,) = qdrant["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "flame-mcp-qdrant"
    assert "topologySpreadConstraints" not in load
