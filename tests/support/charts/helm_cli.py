"""Runs `helm`, and `helm template` in particular, on the charts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.harness import tools
from tests.harness.paths import REPO

CHARTS = REPO / "helm"
OPERATOR_CHART, SERVER_CHART = CHARTS / "flame-mcp-operator", CHARTS / "flame-mcp-server"


def run_helm(
    *arguments: str | Path, values: dict[str, Any] | None = None, program: str = "helm"
) -> subprocess.CompletedProcess[str]:
    """Runs Helm to its end, with these values if there are any; `program` may be `helm3`."""
    command = [tools.ensure(program)[program], *arguments, *(("--values", "-") if values is not None else ())]
    given = None if values is None else _as_yaml(values)
    # Collecting what little garbage there is takes a quarter of Helm's time.
    environment = {**os.environ, "GOGC": "off", "GOMEMLIMIT": "1GiB"}
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)


def _as_yaml(values: dict[str, Any]) -> str:
    """JSON that is YAML as well: no surrogates in escapes, and no character that YAML takes only escaped."""
    text = json.dumps(values, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def template(
    chart: Path,
    values: dict[str, Any] | None = None,
    *arguments: str,
    release: str = "flame",
    program: str = "helm",
) -> subprocess.CompletedProcess[str]:
    """What `helm template` says to these values."""
    return run_helm("template", release, chart, *arguments, values=values or {}, program=program)


def render(
    chart: Path,
    values: dict[str, Any] | None = None,
    *arguments: str,
    release: str = "flame",
    program: str = "helm",
) -> list[dict[str, Any]]:
    """The objects that a chart makes of values."""
    done = template(chart, values, *arguments, release=release, program=program)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if document]
