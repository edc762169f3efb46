"""The operator's alerts and dashboard: each alert fires when it should and has a runbook; series exist."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flame_operator.telemetry.metrics import Metrics
from tests.harness import tools
from tests.support.charts.helm_cli import OPERATOR_CHART as CHART
from tests.support.charts.helm_cli import render

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
CASES = yaml.safe_load(Path(__file__).with_name("operator_alerts.yaml").read_text())
SERIES = {"namespace": "flame-mcp-system", "job": "flame-flame-mcp-operator-metrics"}
SUFFIXES = ("_bucket", "_sum", "_count")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

Json = dict[str, Any]


@functools.cache
def promtool() -> Path:
    return tools.ensure("promtool")["promtool"]


def rule(**values: Any) -> Json:  # noqa: ANN401 - JSON
    documents = render(
        CHART, {"prometheusRule": {"enabled": True, **values}}, "--namespace", SERIES["namespace"]
    )
    (found,) = (one for one in documents if one["kind"] == "PrometheusRule")
    return found


def alerts(found: Json) -> dict[str, Json]:
    (group,) = found["spec"]["groups"]
    return {one["alert"]: one for one in group["rules"]}


def exported() -> set[str]:
    """The names of all series that the operator exports, those of histograms with what is behind them."""
    names = set()
    for family in Metrics().registry.collect():
        kind = {"counter": ("_total",), "histogram": SUFFIXES, "info": ("_info",)}.get(family.type, ("",))
        names |= {family.name + suffix for suffix in kind}
    return names


def dashboard() -> Json:
    documents = render(CHART, {"grafanaDashboard": {"enabled": True}})
    (config,) = (
        one
        for one in documents
        if one["kind"] == "ConfigMap" and one["metadata"]["name"].endswith("dashboard")
    )
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    found: Json = json.loads(config["data"]["flame-mcp-operator.json"])
    return found


def expressions() -> Iterator[str]:
    yield from (one["expr"] for one in alerts(rule()).values())
    found = dashboard()
    yield from (target["expr"] for panel in found["panels"] for target in panel["targets"])
    yield from (one["query"] for one in found["templating"]["list"])


def test_every_series_in_use_is_exported() -> None:
    used = {name for text in expressions() for name in re.findall(r"\b(?:flame_operator|process)_\w+", text)}
    assert len(used) > 15
    assert used - exported() == set()


def test_every_alert_has_its_runbook_and_back() -> None:
    found = alerts(rule())
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert set(found) == pages == {case["alert"] for case in CASES}
    for name, one in found.items():
        assert one["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")
        assert one["labels"]["severity"] in {"critical", "warning", "info"}
        text = (RUNBOOKS / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.*)", text, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
        assert "\nkubectl " in text


def test_labels_selector_and_runbooks_can_be_set() -> None:
    found = rule(
        labels={"release": "prometheus"},
        alertLabels={"team": "platform"},
        selector='cluster="one"',
        runbookBaseURL="https://wiki.example.com/",
    )
    assert found["metadata"]["labels"]["release"] == "prometheus"
    one = alerts(found)["FlameOperatorDown"]
    assert one["expr"] == 'absent(flame_operator_leader{cluster="one"})'
    assert one["labels"] == {"severity": "critical", "team": "platform"}
    assert one["annotations"]["runbook_url"] == "https://wiki.example.com/FlameOperatorDown.md"


def test_three_full_passes_are_late_by_the_interval() -> None:
    documents = render(CHART, {"resyncSeconds": 100, "prometheusRule": {"enabled": True}})
    (found,) = (one for one in documents if one["kind"] == "PrometheusRule")
    assert "> 300)" in alerts(found)["FlameOperatorSweepsLate"]["expr"]


def ours(series: dict[str, str]) -> list[Json]:
    """Series of promtool, with the labels of the chart's ServiceMonitor."""
    labels = ",".join(f'{name}="{value}"' for name, value in SERIES.items())
    return [
        {"series": name.replace("{", f"{{{labels},").replace(",}", "}"), "values": values}
        for name, values in series.items()
    ]


def unit_test(case: Json, one: Json, *, fires: bool) -> Json:
    """A test of promtool's, which compares all annotations."""
    said = re.sub(r"\{\{.*\}\}", case.get("value", ""), one["annotations"]["description"])
    alert = {
        "exp_labels": one["labels"] | case.get("labels", {}),
        "exp_annotations": one["annotations"] | {"description": said},
    }
    return {
        "interval": "1m",
        "input_series": ours(case["fires" if fires else "quiet"]),
        "alert_rule_test": [
            {"alertname": case["alert"], "eval_time": case["at"], "exp_alerts": [alert] if fires else []}
        ],
    }


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rule()["spec"]))
    return path


def test_promtool_finds_no_fault(rules: Path) -> None:
    done = subprocess.run(
        [promtool(), "check", "rules", "--lint=all", "--lint-fatal", str(rules)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "quiet"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['alert']}-{case['at']}")
def test_each_alert_fires_when_it_should_and_only_then(
    rules: Path, tmp_path: Path, case: Json, fires: bool
) -> None:
    test = unit_test(case, alerts(rule())[case["alert"]], fires=fires)
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [test]}))
    done = subprocess.run(
        [promtool(), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
