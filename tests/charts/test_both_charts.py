"""What holds for every chart: its papers, both Helms, its own suites."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import chart_readmes, server_values
from tests.harness import tools
from tests.support.charts.helm_cli import CHARTS, render, run_helm, template

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EACH = chart_readmes.CHARTS
VALUES = sorted(CHARTS.glob("*/ci/*-values.yaml"))
HELMS = ("helm", "helm3")


def name_of(path: Path) -> str:
    return f"{path.parents[1].name}-{path.stem}" if path.suffix == ".yaml" else path.name


@pytest.mark.parametrize("chart", EACH, ids=name_of)
def test_readme_is_up_to_date(chart: Path) -> None:
    assert (chart / "README.md").read_text() == chart_readmes.readme(chart), "run `make docs`"


def test_the_server_charts_schema_and_defaults_are_the_crds() -> None:
    assert server_values.SCHEMA.read_text() == server_values.text(server_values.values_schema())
    assert server_values.DEFAULTS.read_text() == server_values.text(server_values.defaults()), (
        "run `make docs`"
    )


@pytest.mark.parametrize("chart", EACH, ids=name_of)
def test_values_and_their_schema_have_the_same_keys(chart: Path) -> None:
    values = yaml.safe_load((chart / "values.yaml").read_text())
    schema = json.loads((chart / "values.schema.json").read_text())
    assert list(unlike(values, schema, schema)) == []


def unlike(values: Any, schema: dict[str, Any], root: dict[str, Any], path: str = "") -> list[str]:  # noqa: ANN401 - JSON
    """Where values and a strict schema have other keys; `global` is a parent chart's."""
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    known = schema.get("properties")
    if not isinstance(values, dict) or known is None:
        return []
    if schema.get("additionalProperties") is not False:
        return [f"{path} takes any key"]
    found = [f"{path}.{name}" for name in known.keys() ^ values.keys() if name != "global"]
    for name in (known.keys() & values.keys()) - {"global"}:
        found += unlike(values[name], known[name], root, f"{path}.{name}")
    return found


@pytest.mark.parametrize("chart", EACH, ids=name_of)
@pytest.mark.parametrize("program", HELMS)
def test_lint_is_clean(program: str, chart: Path) -> None:
    done = run_helm("lint", "--strict", chart, program=program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout
    assert "[INFO]" not in done.stdout, "what Artifact Hub would miss"


@pytest.mark.parametrize("file", VALUES, ids=name_of)
def test_helm_3_and_4_make_the_same(file: Path) -> None:
    one, other = (objects(file, program) for program in HELMS)
    assert one
    assert one == other


def objects(file: Path, program: str) -> list[Any]:
    found = render(file.parents[1], None, "--values", str(file), program=program)
    return sorted(found, key=json.dumps)


@pytest.mark.parametrize("chart", EACH, ids=name_of)
def test_templates_neither_roll_dice_nor_look_into_the_cluster(chart: Path) -> None:
    """What `helm template` prints for a GitOps tool must be what is installed."""
    forbidden = re.compile(r"\b(lookup|rand\w+|genCA|genSignedCert|genPrivateKey|now|uuidv4|getHostByName)\b")
    for file in (chart / "templates").rglob("*"):
        if file.is_file():
            text = re.sub(r"{{-? */\*.*?\*/ *-?}}", "", file.read_text(), flags=re.DOTALL)
            assert not forbidden.search(" ".join(re.findall(r"{{.*?}}", text))), file


@pytest.mark.parametrize("chart", EACH, ids=name_of)
def test_its_own_suites_pass(chart: Path) -> None:
    assert list(chart.glob("tests/*_test.yaml"))
    program = tools.ensure("helm-unittest")["helm-unittest"]
    done = subprocess.run([program, "--strict", chart], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("chart", EACH, ids=name_of)
def test_papers_are_complete(chart: Path) -> None:
    metadata = yaml.safe_load((chart / "Chart.yaml").read_text())
    wanted = {"category", "license", "links", "changes", "images", "prerelease"}
    hub = {key.removeprefix("artifacthub.io/") for key in metadata["annotations"]}
    assert wanted <= hub
    assert metadata["icon"].startswith("https://")
    assert {"home", "sources", "maintainers", "kubeVersion", "appVersion"} <= metadata.keys()
    images = yaml.safe_load(metadata["annotations"]["artifacthub.io/images"])
    assert all(
        image["image"].endswith(f":{metadata['appVersion']}") or "qdrant" in image["image"]
        for image in images
    )
    done = template(chart)
    assert done.returncode == 0


@pytest.mark.parametrize("chart", EACH, ids=name_of)
def test_a_namespace_may_look_like_a_number(chart: Path) -> None:
    for one in render(chart, {}, "--namespace", "1234"):
        metadata = one["metadata"]
        places = [metadata, *one.get("subjects", [])]
        assert {type(place["namespace"]) for place in places if "namespace" in place} <= {str}
