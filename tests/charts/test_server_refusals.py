"""The plain chart refuses what doesn't fit, and says what to do: before anything is in the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.charts.helm_cli import SERVER_CHART, template
from tests.support.cluster.crd_fields import SCHEMA, rules

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
INVALID = yaml.safe_load((ROOT / "tests/cluster/validity/invalid.yaml").read_text())

LEFT_TO_THE_API_SERVER = (
    # It checks the same in the objects that come of it.
    "label names must look like",
    "annotation names must look like",
    "takes no value; remove it",
    "operator Equal needs a key",
    "tolerationSeconds needs effect NoExecute",
    "minDomains needs whenUnsatisfiable DoNotSchedule",
    "matches no node",
    "needs values",
    "takes no values",
    "exactly one value",
    "matchFields takes only",
    "use matchExpressions for labels",
    "topologySpreadConstraints",
    "make two peers of it",
    "must be a range in CIDR notation",
    "ipBlock.except must name smaller ranges",
    "a schedule has five fields",
    "snapshots.schedule: Invalid value",
    "httpRoute.parentRefs",
    "give each of its entries",
    "Duplicate value",
    "except[0]",
    # Rules for tenants: who installs a chart has the right to make any Ingress.
    "takes only annotations known to do no harm",
    "must have values of one line",
    # Mode fullStack runs a Qdrant server.
    "set vectorStore.type to External or Managed",
    # What the operator does, and no chart.
    "verification.interval must be between",
)


def values_for(spec: Any) -> dict[str, Any]:  # noqa: ANN401 - some cases are no maps
    """Values that are wrong in nothing but what the spec is wrong in."""
    if not isinstance(spec, dict):
        return {"mode": spec}
    store, auth = spec.get("vectorStore", {}), spec.get("auth", {})
    managed = isinstance(store, dict) and store.get("type") == "Managed"
    values = {
        **spec,
        "mode": "fullStack" if "ingestion" in spec else "withQdrant" if managed else "standalone",
    }
    secrets: dict[str, Any] = {"qdrant": {"existingSecret": "keys"}} if managed else {}
    if auth.get("type") == "Bearer":
        secrets["token"] = {"existingSecret": "token"}
    return values | ({"secrets": secrets} if secrets else {})


MESSAGES = {rule["message"] for rule in rules(SCHEMA)}
"""What the CRD's rules say."""
CHECKED = [case for case in INVALID if not any(part in case["says"] for part in LEFT_TO_THE_API_SERVER)]


@pytest.mark.parametrize("case", CHECKED, ids=lambda case: str(case["spec"])[:70])
def test_what_the_api_server_refuses_is_refused(case: dict[str, Any]) -> None:
    done = template(SERVER_CHART, values_for(case["spec"]))
    assert done.returncode != 0, f"taken, although the API server says {case['says']!r}"
    assert "nil pointer" not in done.stderr
    if any(case["says"] in message for message in MESSAGES):
        assert case["says"] in done.stderr


MISTAKES = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text())


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case["says"][:50])
def test_a_mistake_in_values_is_named(case: dict[str, Any]) -> None:
    done = template(SERVER_CHART, case["values"])
    assert done.returncode != 0
    assert case["says"] in done.stderr


def test_all_mistakes_are_told_at_once() -> None:
    values = {"mode": "withQdrant", "replicas": 2, "autoscaling": {}, "auth": {"type": "Bearer"}}
    told = template(SERVER_CHART, values).stderr
    for mistake in (
        "replicas and autoscaling",
        "secrets.qdrant.existingSecret",
        "secrets.token.existingSecret",
    ):
        assert mistake in told
