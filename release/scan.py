"""Looks for known weaknesses in images: `make scan`. Uses the scanner that is there, trivy or grype.

Neither comes with the project, and both need their databases from the network: where there is none, this says
so and leaves it out. The release workflow has one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence

SCANNERS: dict[str, tuple[str, ...]] = {
    "trivy": ("image", "--exit-code", "1", "--severity", "HIGH,CRITICAL", "--ignore-unfixed"),
    "grype": ("--fail-on", "high", "--only-fixed"),
}
LEFT_OUT = "left out: neither trivy nor grype is on PATH, so the images were not scanned"


def command(image: str) -> tuple[str, ...] | None:
    """What scans an image; None when there is no scanner."""
    for name, options in SCANNERS.items():
        if program := shutil.which(name):
            return (program, *options, image)
    return None


def scan(images: Sequence[str]) -> int:
    """Scans images; the exit code, which isn't 0 when one has a weakness that a newer package mends."""
    commands = [command(image) for image in images]
    if None in commands:
        sys.stdout.write(f"{LEFT_OUT}\n")
        return 0
    return max((subprocess.run(one, check=False).returncode for one in commands if one), default=0)


def main() -> None:
    """Scans the images that are named, else those of this tree."""
    from tests.support.e2e import product  # noqa: PLC0415 - only where images aren't named

    images = sys.argv[1:]
    if not images:
        built = product.given() or product.references()
        images = [built.operator, built.server]
    sys.exit(scan(images))


if __name__ == "__main__":
    main()
