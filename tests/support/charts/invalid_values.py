"""Specs that the API server refuses, as values of the server's chart."""

from __future__ import annotations

from typing import Any

import yaml

from tests.harness.paths import REPO

INVALID = yaml.safe_load((REPO / "tests/cluster/validity/invalid.yaml").read_text())
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
