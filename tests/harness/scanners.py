"""Scanners of manifests: checkov and kube-score."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.harness import python_tools, tools
from tests.harness.proc import run

_GOOD = 10
"""kube-score's grade of what is as it should be."""


def checkov_findings(folder: Path) -> set[tuple[str, str]]:
    """What checkov finds in a folder of manifests: each check's id, and the kind of object.

    Raises:
        HarnessError: checkov could not be installed, or failed.
    """
    options = ("--framework", "kubernetes", "--output", "json", "--compact", "--quiet")
    with tempfile.TemporaryDirectory() as home:  # it leaves files in the user's
        done = run(
            (
                python_tools.ensure("checkov", "checkov"),
                "-d",
                folder,
                *options,
                "--skip-download",
                "--soft-fail",
            ),
            env={"HOME": home},
        )
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
