"""Scanners of manifests: kube-score, and checkov in an environment of its own, as it pins old packages."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from tests.harness import paths, tools
from tests.harness.console import step
from tests.harness.proc import run

_REQUIREMENTS = paths.TOOLS / "checkov" / "requirements.txt"


_GOOD = 10
"""kube-score's grade of what is as it should be."""


def _checkov() -> Path:
    """The program, installed with hashes the first time."""
    key = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    home = paths.cache() / "tools" / f"checkov-{key}"
    with tools.locked("tools"):
        if not home.exists():
            with step("installing checkov (a few seconds, once)"):
                _install(home)
    return home / "bin" / "checkov"


def _install(home: Path) -> None:
    uv = paths.REPO / ".venv" / "bin" / "uv"
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        run((uv, "venv", "--quiet", home))
        python = home / "bin" / "python"
        run((uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", _REQUIREMENTS))
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def checkov_findings(folder: Path) -> set[tuple[str, str]]:
    """What checkov finds in a folder of manifests: each check's id, and the kind of object.

    Raises:
        HarnessError: checkov could not be installed, or failed.
    """
    options = ("--framework", "kubernetes", "--output", "json", "--compact", "--quiet")
    with tempfile.TemporaryDirectory() as home:  # it leaves files in the user's
        done = run((_checkov(), "-d", folder, *options, "--skip-download", "--soft-fail"), env={"HOME": home})
    found = json.loads(done.stdout)["results"]["failed_checks"]
    return {(one["check_id"], one["resource"].partition(".")[0]) for one in found}


def kube_score_findings(file: Path) -> set[tuple[str, str]]:
    """The same of kube-score, for a file of manifests; what it merely skips isn't found.

    Raises:
        HarnessError: kube-score could not be built, or failed.
    """
    done = run((tools.binary("kube-score"), "score", "--output-format", "json", file), check=False)
    return {
        (check["check"]["id"], scored["type_meta"]["kind"])
        for scored in json.loads(done.stdout)
        for check in scored["checks"]
        if not check["skipped"] and check["grade"] < _GOOD
    }
