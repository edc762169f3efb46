"""All attacks at once: a hundred hostile namespaces beside a hundred honest ones, on one operator.

A real API server, and the operator as its own process. Pods and Jobs take a usual time, as a cluster's would:
the test plays the kubelets. Small: `tests/cluster/test_neighbours.py`.
"""

from pathlib import Path

import pytest

from tests.support.neighbours.campaign import Plan, run


@pytest.mark.full_size
@pytest.mark.timeout(3000)
def test_hostile_neighbours_for_ten_minutes(tmp_path: Path) -> None:
    """A hundred hostile namespaces for ten minutes, beside a hundred honest ones.

    Each has ten labelled ConfigMaps of 1 MB, ten evil servers, loads that never end, scaled children and 20
    slow connections; together they make twenty edits a second, of which most make the operator check, report
    or repair.
    """
    figures = run(Plan(), tmp_path)
    print(f"\n{figures.as_text()}")
    attacked = figures.attacked
    assert max(attacked.memory) <= 160
    assert attacked.growth_mib <= 10
    assert attacked.late_ms(0.99) <= 250
    assert figures.takeovers == 0
    assert not attacked.lost_events
    for sort in ("plain", "loading"):
        assert figures.slowdown(sort, 0.5) <= 1.5
        assert figures.slowdown(sort, 0.95) <= 1.5
