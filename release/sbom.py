"""What the images consist of, as CycloneDX: `make sbom` writes build/sbom/IMAGE.cdx.json.

The Python packages, from the locks that the images are installed from. The Debian packages below them are
told by the SBOM that BuildKit attaches to an image when it is released (.github/workflows/release.yaml).
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.harness import python_tools
from tests.harness.errors import HarnessError
from tests.harness.proc import run

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("operator", "server")


def write(image: str, folder: Path) -> Path:
    """Writes an image's SBOM into a folder, the same bytes for the same lock.

    Raises:
        HarnessError: The program that writes it could not be installed, or failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{image}.cdx.json"
    program = python_tools.ensure("cyclonedx", "cyclonedx-py")
    options = ("--pyproject", ROOT / image / "pyproject.toml", "--output-reproducible", "-o", target)
    run((program, "requirements", ROOT / "requirements" / f"{image}.txt", *options))
    return target


def main() -> None:
    """Writes all of them."""
    try:
        for image in IMAGES:
            sys.stdout.write(f"{write(image, ROOT / 'build' / 'sbom')}\n")
    except HarnessError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
