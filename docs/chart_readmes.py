"""Writes the README of each chart from its values.yaml and Chart.yaml: `python -m docs.chart_readmes`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHARTS = sorted(file.parent for file in (ROOT / "helm").glob("*/Chart.yaml"))
_KEY = re.compile(r"( *)([A-Za-z][-A-Za-z0-9_]*):")
_LONGEST_DEFAULT = 60
"""Characters; longer defaults are to be read in values.yaml."""

_HEAD = """\
# {name}

{description}.

<!-- Written by `make docs` from Chart.yaml, values.yaml and PROSE.md: change those, not this file. -->

Needs Kubernetes {kubernetes} and Helm 3 or 4.

{prose}
## Values

Every value, its default and what it does. Values that don't fit are refused before the cluster is touched.

| value | default | what it does |
| --- | --- | --- |
"""


class Value(NamedTuple):
    """A value, as the chart's user sets it."""

    path: str
    default: Any
    description: str


def values(text: str) -> Iterator[Value]:
    """Every value of a values.yaml, with the comment right above it; of maps their leaves.

    Raises:
        ValueError: A value has no comment.
    """
    defaults = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        if found := _KEY.match(line):
            indent, name = len(found[1]), found[2]
            path = [*((depth, key) for depth, key in path if depth < indent), (indent, name)]
            names = [key for _, key in path]
            if not comment:
                raise ValueError(f"{'.'.join(names)} has no comment")
            default = _at(defaults, names)
            if not (isinstance(default, dict) and default):
                yield Value(".".join(names), default, " ".join(comment))
        comment = []


def _at(defaults: Any, names: list[str]) -> Any:  # noqa: ANN401 - YAML
    for name in names:
        defaults = defaults[name]
    return defaults


def readme(chart: Path) -> str:
    """The README of a chart."""
    metadata = yaml.safe_load((chart / "Chart.yaml").read_text())
    head = _HEAD.format(
        name=metadata["name"],
        description=metadata["description"],
        kubernetes=metadata["kubeVersion"].removeprefix(">=").removesuffix(".0-0") + " or later",
        prose=(chart / "PROSE.md").read_text(),
    )
    rows = [_row(value) for value in values((chart / "values.yaml").read_text())]
    return head + "\n".join(rows) + "\n"


def _row(value: Value) -> str:
    default = json.dumps(value.default, ensure_ascii=False)
    shown = f"`{default}`" if len(default) <= _LONGEST_DEFAULT else "see values.yaml"
    description = value.description.replace("|", "\\|")
    return f"| `{value.path}` | {shown} | {description} |"


def main() -> None:
    """Writes all of them."""
    for chart in CHARTS:
        (chart / "README.md").write_text(readme(chart))


if __name__ == "__main__":
    main()
