"""The plain chart refuses what doesn't fit, and says what to do: before anything is in the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.charts.helm_cli import SERVER_CHART, template
from tests.support.charts.invalid_values import INVALID, LEFT_TO_THE_API_SERVER, values_for
from tests.support.cluster.crd_fields import SCHEMA, rules

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

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
