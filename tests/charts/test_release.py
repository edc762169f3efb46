"""What a release is made of: workflows, packages of charts, SBOMs."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from release import charts, sbom, scan
from tests.harness import tools
from tests.support.charts.helm_cli import template
from tests.support.e2e import product

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def test_actionlint_finds_nothing() -> None:
    program = tools.ensure("actionlint")["actionlint"]
    # It would take shellcheck and pyflakes, where they happen to be installed.
    options = ("-shellcheck=", "-pyflakes=")
    done = subprocess.run([program, *options, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_have_the_least_rights_and_no_floating_action() -> None:
    for file in WORKFLOWS:
        text = file.read_text()
        assert re.search(r"^permissions: *({}|\n  contents: read)$", text, re.MULTILINE), file
        for used in re.findall(r"uses: (.+)", text):
            # The commit decides; the version beside it is for people, and for Dependabot.
            assert used.startswith("./") or re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


def test_a_tag_names_an_image_only_once_it_was_scanned_and_signed() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    steps = workflow["jobs"]["images"]["steps"]
    (build,) = (one for one in steps if one.get("id") == "build")
    assert "tags" not in build["with"]
    assert {"push-by-digest=true", "push=true"} <= set(build["with"]["outputs"].split(","))
    scans = [one for one in steps if "trivy-action" in one.get("uses", "")]
    platforms = [one.get("env", {}).get("TRIVY_PLATFORM", "linux/amd64") for one in scans]
    assert platforms == build["with"]["platforms"].split(",")
    assert all(one["with"]["exit-code"] == "1" for one in scans)
    (sign,) = (one for one in steps if "cosign sign" in one.get("run", ""))
    (tag,) = (one for one in steps if "--tag" in one.get("run", ""))
    order = [steps.index(one) for one in (build, *scans, sign, tag)]
    assert order == sorted(order)
    assert tag is steps[-1]


def test_images_start_from_one_pinned_base() -> None:
    bases = {image: product.pinned(image) for image in sbom.IMAGES}
    assert len(set(bases.values())) == 1, bases
    assert re.fullmatch(r"python:3\.\d+-slim@sha256:[0-9a-f]{64}", bases["server"])
    for image in sbom.IMAGES:
        text = (ROOT / f"Dockerfile.{image}").read_text()
        stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
        for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
            assert base == "${PYTHON_IMAGE}" or base in stages, base


SIGNER = "https://github.com/OWNER/flame-mcp/.github/workflows/release.yaml@refs/tags/v1.2.3"


@pytest.mark.parametrize(
    ("signer", "trusted"),
    [
        (SIGNER, True),
        (SIGNER.replace("refs/tags/v1.2.3", "refs/heads/main"), False),
        (SIGNER.replace("refs/tags/v1.2.3", "refs/heads/refs/tags/v1.2.3"), False),
        (SIGNER + "-evil", False),
        (SIGNER.replace("github.com", "githubXcom"), False),
        (SIGNER.replace("/.github/", "/xgithub/"), False),
        (SIGNER.replace("release.yaml", "releaseXyaml"), False),
        (SIGNER.replace("https://", "https://evil.example/https://"), False),
    ],
)
def test_the_documented_check_trusts_only_releases_of_this_workflow(signer: str, trusted: bool) -> None:
    page = (ROOT / "docs/release.md").read_text()
    (pattern,) = re.findall(r"--certificate-identity-regexp '(.+)'", page)
    assert bool(re.search(pattern, signer)) is trusted


@pytest.mark.parametrize("chart", charts.CHARTS, ids=lambda chart: chart.name)
def test_a_package_has_the_same_bytes_again(chart: Path, tmp_path: Path) -> None:
    one = charts.package(chart, tmp_path / "one", epoch=86400)
    other = charts.package(chart, tmp_path / "other", epoch=86400)
    assert one.read_bytes() == other.read_bytes()
    with tarfile.open(one) as packed:
        names = {member.name.removeprefix(f"{chart.name}/") for member in packed}
        assert {member.mtime for member in packed} == {86400}
    assert {"Chart.yaml", "values.yaml", "values.schema.json", "README.md"} <= names
    assert "templates/tests" in {str(Path(name).parent) for name in names}
    assert not [name for name in names if name.startswith(("ci/", "tests/", "PROSE"))]


@pytest.mark.parametrize("chart", charts.CHARTS, ids=lambda chart: chart.name)
def test_a_released_chart_pulls_the_released_images(chart: Path, tmp_path: Path) -> None:
    packed = charts.package(chart, tmp_path, registry="registry.example/team", version="7.8.9")
    assert packed.name == f"{chart.name}-7.8.9.tgz"
    done = template(packed)
    assert done.returncode == 0, done.stderr
    images = set(re.findall(r"(\S*flame-mcp/(?:server|operator)\S*|registry\.example\S*)", done.stdout))
    names = {"flame-mcp-operator": ("operator", "server"), "flame-mcp-server": ("server",)}[chart.name]
    assert {image.strip('"') for image in images} == {f"registry.example/team/{name}:7.8.9" for name in names}


@pytest.mark.parametrize("image", sbom.IMAGES)
def test_an_sbom_names_every_locked_package(image: str, tmp_path: Path) -> None:
    found = json.loads(sbom.write(image, tmp_path).read_text())
    assert found["bomFormat"] == "CycloneDX"
    components = {(one["name"].lower().replace("_", "-"), one["version"]) for one in found["components"]}
    lock = (ROOT / "requirements" / f"{image}.txt").read_text()
    locked = {
        (name.lower().replace("_", "-"), version)
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", lock, re.MULTILINE)
    }
    assert len(locked) > 20
    assert components == locked


def test_a_scan_says_when_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scan.scan(["one"]) == 0
    assert capsys.readouterr().out == scan.LEFT_OUT + "\n"


@pytest.mark.parametrize(("code", "scanner"), [(0, "trivy"), (1, "grype")])
def test_a_scan_fails_with_its_scanner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, scanner: str
) -> None:
    program = tmp_path / scanner
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexit {code}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scan.scan(["one", "two"]) == code
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[-1] for line in asked] == ["one", "two"]
