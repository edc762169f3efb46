"""The benchmark runs, and what it counts, which no busy machine changes, is as it should be."""

import json
from pathlib import Path

import pytest

from benchmarks.operator.phases import Options, run
from benchmarks.operator.report import as_json, checks

pytestmark = pytest.mark.cluster

COUNTED = {
    "writes per resource",
    "events per resource",
    "writes while idle",
    "writes after a restart",
    "writes per deleted Service",
    "writes after deletion of all",
}


@pytest.mark.timeout(180)
def test_the_operator_writes_no_more_than_it_has_to(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.json"
    result = run(
        Options(resources=12, children="default", idle_seconds=2, deleted_services=5, profile=stacks)
    )
    counted = {check.name: check.passed for check in checks(result) if check.name in COUNTED}
    assert counted == dict.fromkeys(COUNTED, True), as_json(result)
    # Fewer would be a resource that something is missing of; that all is there, the run itself makes sure.
    assert result.create.writes == 12 * (result.children + 1)
    assert result.create.cpu_seconds > 0
    assert result.start_mib <= result.peak_mib
    assert any(
        "flame_operator" in function for stack, _ in json.loads(stacks.read_text()) for function in stack
    )
