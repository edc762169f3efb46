"""What the server's chart makes, as the API server and its admission take it, without storing it.

The operator's chart is tried in tests/charts/test_operator_release.py, with kinds that this API server lacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.charts.helm_cli import SERVER_CHART, render, template
from tests.support.charts.invalid_values import INVALID, LEFT_TO_THE_API_SERVER, values_for
from tests.support.cluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

VALUES = sorted(SERVER_CHART.glob("ci/*-values.yaml"))
TAKEN = (
    # Rules for tenants, and what only the operator does.
    "takes only annotations known to do no harm",
    "must have values of one line",
    "httpRoute.parentRefs",
    "give each of its entries",
    "verification.interval must be between",
    "set vectorStore.type to External or Managed",
    # Of no effect: pods stay pending, a port is named twice, nothing stands between two commas.
    "matches no node",
    "matchFields takes only",
)
"""What the chart leaves to the API server and it takes all the same."""
HARMLESS = ({"port": 1, "protocol": "TCP"}, "0,,5 4 * * *", {"key": "a", "operator": "Gt", "values": ["b"]})
LEFT = [
    case
    for case in INVALID
    if any(part in case["says"] for part in LEFT_TO_THE_API_SERVER)
    and not any(part in case["says"] for part in TAKEN)
    and not any(str(part) in str(case["spec"]) for part in HARMLESS)
]


@pytest.fixture(scope="module")
def restricted(cluster: Cluster) -> str:
    """A namespace that enforces Pod Security `restricted`, and warns of what comes of templates."""
    prefix = "pod-security.kubernetes.io"
    return cluster.namespace(**{f"{prefix}/enforce": "restricted", f"{prefix}/warn": "restricted"})


@pytest.mark.parametrize("file", VALUES, ids=lambda file: file.stem)
def test_values_for_ci_are_taken(cluster: Cluster, restricted: str, file: Path) -> None:
    values = yaml.safe_load(file.read_text()) or {}
    objects = render(SERVER_CHART, values, "--namespace", restricted)
    done = dry_run(cluster, objects)
    assert done[0] == 0, done[1]
    assert "Warning" not in done[1]


@pytest.mark.parametrize("case", LEFT, ids=lambda case: str(case["spec"])[:70])
def test_what_the_chart_lets_pass_is_refused_here(
    cluster: Cluster, restricted: str, case: dict[str, Any]
) -> None:
    values = {**values_for(case["spec"]), "fullnameOverride": "docs"}
    done = template(SERVER_CHART, values, "--namespace", restricted, "--no-hooks")
    if done.returncode == 0:
        code, said = dry_run(cluster, [one for one in yaml.safe_load_all(done.stdout) if one])
        assert code != 0
        assert "docs" in said


def dry_run(cluster: Cluster, objects: list[dict[str, Any]]) -> tuple[int, str]:
    """The exit code, and what kubectl says besides the objects' names."""
    command = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    done = cluster.kubectl(*command, text=yaml.safe_dump_all(objects), check=False)
    return done.returncode, done.stderr
