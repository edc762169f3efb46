"""Puts the guardrails of the operator's chart into a cluster."""

from typing import Any

from tests.support.charts.helm_cli import OPERATOR_CHART, render
from tests.support.cluster.cluster import Cluster, Json

KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def guard(cluster: Cluster, release: str, namespaces: list[str], bounds: Json) -> list[Json]:
    """Applies the chart's policy and binding, for these namespaces."""
    values = {"watchNamespaces": namespaces, "guardrails": {"enabled": True, **bounds}}
    found = [one for one in render(OPERATOR_CHART, values, release=release) if one["kind"] in KINDS]
    assert len(found) == 2
    cluster.apply(*found)
    return found


def in_team(value: Any, team: str) -> Any:  # noqa: ANN401 - JSON
    """The value with the namespace's name in place of TEAM."""
    if isinstance(value, dict):
        return {name: in_team(child, team) for name, child in value.items()}
    if isinstance(value, list):
        return [in_team(child, team) for child in value]
    return value.replace("TEAM", team) if isinstance(value, str) else value
