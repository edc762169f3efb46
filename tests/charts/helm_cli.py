"""Helm, as the tests of charts use it."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.harness import tools

CHARTS = Path(__file__).resolve().parents[2] / "helm"
SERVER_CHART = CHARTS / "flame-mcp-server"


@functools.cache
def helm() -> Path:
    """The program, built if need be."""
    return tools.ensure("helm")["helm"]


def template(
    chart: Path, values: dict[str, Any] | None = None, *arguments: str, release: str = "flame"
) -> subprocess.CompletedProcess[str]:
    """What `helm template` says to these values."""
    command = [str(helm()), "template", release, str(chart), "--values", "-", *arguments]
    return subprocess.run(command, input=_as_yaml(values or {}), capture_output=True, text=True, check=False)


def _as_yaml(values: dict[str, Any]) -> str:
    """JSON that is YAML as well: no surrogates in escapes, and no character that YAML takes only escaped."""
    text = json.dumps(values, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def render(
    chart: Path, values: dict[str, Any] | None = None, *arguments: str, release: str = "flame"
) -> list[dict[str, Any]]:
    """The objects that a chart makes of values."""
    done = template(chart, values, *arguments, release=release)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if document]
