"""Packages of the charts, the same bytes for the same contents: `make package` writes build/charts.

Helm writes the time of day into its packages, so nobody could tell whether one came of these sources. What it
packs is packed again here, sorted, and of the time that $SOURCE_DATE_EPOCH says (reproducible-builds.org).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import click

from tests.harness import tools
from tests.harness.errors import HarnessError
from tests.harness.proc import run

ROOT = Path(__file__).resolve().parents[1]
CHARTS = sorted(file.parent for file in (ROOT / "helm").glob("*/Chart.yaml"))
SUMS = "sha256sums.txt"
IMAGES = ("flame-mcp/operator", "flame-mcp/server")
"""What the charts call the product's images."""


def package(chart: Path, target: Path, *, registry: str = "", version: str = "", epoch: int = 0) -> Path:
    """Writes a chart's package into a folder.

    Args:
        chart: The chart's folder.
        target: The folder, which is made.
        registry: Where the images are, for example `ghcr.io/flame-mcp`; empty leaves their names as they are.
        version: That of the chart and of its images; empty leaves both as they are.
        epoch: Seconds since 1970 that all files are from.

    Raises:
        HarnessError: helm could not be had, or finds the chart wrong.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / chart.name
        shutil.copytree(chart, copy)
        if registry:
            _pull_from(copy, registry)
        versions = ("--version", version, "--app-version", version) if version else ()
        run((tools.binary("helm"), "package", copy, *versions, "--destination", folder))
        (packed,) = Path(folder).glob("*.tgz")
        found = target / packed.name
        found.write_bytes(_normalised(packed, epoch))
    return found


def _pull_from(chart: Path, registry: str) -> None:
    for file in (
        chart / "Chart.yaml",
        chart / "values.yaml",
        chart / "README.md",
        *chart.glob("templates/*.tpl"),
    ):
        text = file.read_text()
        for image in IMAGES:
            text = text.replace(image, f"{registry}/{image.removeprefix('flame-mcp/')}")
        file.write_text(text)


def _normalised(packed: Path, epoch: int) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(packed) as source, tarfile.open(fileobj=plain, mode="w") as copy:
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            content = source.extractfile(member)
            if content is not None:
                entry = tarfile.TarInfo(member.name)
                entry.size, entry.mode, entry.mtime = member.size, 0o644, epoch
                copy.addfile(entry, content)
    return gzip.compress(plain.getvalue(), mtime=epoch)


@click.command()
@click.option("--registry", default="", help="Where the images are, such as ghcr.io/flame-mcp.")
@click.option("--version", default="", help="The version of the charts and their images.")
def main(registry: str, version: str) -> None:
    """Write the packages of all charts and their checksums into build/charts."""
    target = ROOT / "build" / "charts"
    shutil.rmtree(target, ignore_errors=True)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    try:
        packages = [
            package(chart, target, registry=registry, version=version, epoch=epoch) for chart in CHARTS
        ]
    except HarnessError as error:
        sys.exit(f"error: {error}")
    sums = "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in packages)
    (target / SUMS).write_text(sums)
    click.echo(sums, nl=False)


if __name__ == "__main__":
    main()
