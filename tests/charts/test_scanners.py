"""What checkov and kube-score say to the charts' objects: nothing that has no reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import scanners
from tests.support.charts.helm_cli import CHARTS, render

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

EXCEPTIONS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "scanner_exceptions.yaml").read_text()
)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects of every file of values for CI, a file each."""
    folder = tmp_path_factory.mktemp("manifests")
    for values in CHARTS.glob("*/ci/*-values.yaml"):
        objects = render(values.parents[1], yaml.safe_load(values.read_text()), "--namespace", "team")
        (folder / f"{values.parents[1].name}-{values.name}").write_text(yaml.safe_dump_all(objects))
    return folder


def excepted(scanner: str) -> set[tuple[str, str]]:
    return {(check, kind) for check, one in EXCEPTIONS[scanner].items() for kind in one["kinds"]}


def test_checkov_finds_nothing_without_a_reason(manifests: Path) -> None:
    found = scanners.checkov_findings(manifests)
    assert found <= excepted("checkov"), sorted(found - excepted("checkov"))
    assert {check for check, _ in found} == set(EXCEPTIONS["checkov"]), "an exception has no use any more"


def test_kube_score_finds_nothing_without_a_reason(manifests: Path) -> None:
    found = set().union(*map(scanners.kube_score_findings, manifests.iterdir()))
    assert found <= excepted("kube-score"), sorted(found - excepted("kube-score"))
    assert {check for check, _ in found} == set(EXCEPTIONS["kube-score"]), "an exception has no use any more"
