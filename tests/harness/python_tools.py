"""Python programs in environments of their own, as they pin other versions than the product's.

Each has a folder in `tools` with a requirements.txt that is locked with hashes.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.harness import paths, tools
from tests.harness.console import step
from tests.harness.proc import run


def ensure(name: str, program: str) -> Path:
    """The path of a program, installed the first time.

    Raises:
        HarnessError: It could not be installed.
    """
    return home(name) / "bin" / program


def home(name: str) -> Path:
    """The environment of a tool, installed the first time.

    Raises:
        HarnessError: It could not be installed.
    """
    requirements = paths.TOOLS / name / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = paths.cache() / "tools" / f"{name}-{key}"
    with tools.locked("tools"):
        if not folder.exists():
            with step(f"installing {name} (a few seconds, once)"):
                _install(folder, requirements)
    return folder


def _install(home: Path, requirements: Path) -> None:
    uv, python = paths.REPO / ".venv" / "bin" / "uv", home / "bin" / "python"
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        run((uv, "venv", "--quiet", home))
        run((uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", requirements))
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
