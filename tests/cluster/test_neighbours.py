"""Honest tenants beside hostile ones, in small; `make attack` runs it at full size."""

from pathlib import Path

import pytest

from tests.support.neighbours.attackers import Harm
from tests.support.neighbours.campaign import Plan, run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

SMALL = Plan(
    honest=4,
    harm=Harm(namespaces=4, config_maps=2, loads=2, connections=20, edits_per_second=5),
    seconds=1,
    pod_seconds=1,
    load_seconds=2,
)


def test_honest_servers_become_ready_beside_attackers(tmp_path: Path) -> None:
    figures = run(SMALL, tmp_path)
    assert figures.alone.servers == figures.attacked.servers == SMALL.honest
    assert not figures.attacked.lost_events
    assert figures.takeovers == 0
