"""The rendered operator's chart, and what tests look up in it."""

from __future__ import annotations

from typing import Any

from tests.support.charts import helm_cli
from tests.support.charts.helm_cli import OPERATOR_CHART as CHART


def render(*arguments: str) -> list[dict[str, Any]]:
    return helm_cli.render(CHART, None, "--namespace", "flame-mcp-system", *arguments)


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = of_kind(documents, "Deployment")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(documents: list[dict[str, Any]]) -> dict[str, str]:
    """The variables whose values the chart writes out."""
    return {entry["name"]: entry["value"] for entry in container(documents)["env"] if "value" in entry}


def rights(role: dict[str, Any]) -> dict[str, set[str]]:
    """The verbs of each resource, `group/resource` or with names behind it."""
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                key = " ".join([f"{group}/{resource}", *rule.get("resourceNames", [])])
                found.setdefault(key, set()).update(rule["verbs"])
    return found


def bound_role(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """The one ClusterRole that is bound."""
    (binding,) = of_kind(documents, "ClusterRoleBinding")
    roles = {role["metadata"]["name"]: role for role in of_kind(documents, "ClusterRole")}
    return roles[binding["roleRef"]["name"]]
