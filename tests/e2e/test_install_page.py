"""docs/install.md, every command of it in its order, as a reader with an empty cluster would run them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Cluster
from tests.harness.paths import REPO
from tests.support.e2e import product, standins

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PAGE = REPO / "docs" / "install.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def empty(prepared: tuple[Cluster, product.Images]) -> Iterator[Cluster]:
    """The cluster without the operator, which is there again afterwards, for the tests that come."""
    cluster, built = prepared
    cluster.helm("uninstall", product.RELEASE, "-n", product.SYSTEM_NAMESPACE, "--wait", "--timeout=2m")
    yield cluster
    teams = [f"team-{number}" for number in range(1, 11)]
    cluster.kubectl("delete", "namespace", *teams, "--ignore-not-found", "--wait=false")
    system = ("namespace", product.SYSTEM_NAMESPACE)
    cluster.kubectl("delete", *system, "--ignore-not-found", "--timeout=120s")
    product.install_operator(cluster, built, standins.qdrant_image(cluster, built))


def environment(cluster: Cluster, built: product.Images, folder: Path) -> dict[str, str]:
    """A reader's: kubectl and helm on PATH, and images in a place of their own."""
    for program in ("kubectl", "helm"):
        words = " ".join(cluster.command(program))
        (folder / program).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (folder / program).chmod(0o755)
    (operator, operator_tag), (server, server_tag) = map(product.split, (built.operator, built.server))
    images = {
        "OPERATOR_REPOSITORY": operator,
        "OPERATOR_TAG": operator_tag,
        "SERVER_REPOSITORY": server,
        "SERVER_TAG": server_tag,
    }
    return {**os.environ, **cluster.environment(), **images, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_every_command_of_the_page(
    empty: Cluster, prepared: tuple[Cluster, product.Images], tmp_path: Path
) -> None:
    # `! command` doesn't end a shell by itself, whatever `set -e` says.
    script = re.sub(
        r"^! ((?:.*\\\n)*.*)",
        r"if \1\nthen echo not refused; exit 9; fi",
        "\n".join(BLOCKS),
        flags=re.MULTILINE,
    )
    assert script.count("then echo not refused") == PAGE.read_text().count("\n! ")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "helm").symlink_to(REPO / "helm")
    done = subprocess.run(
        ["bash", "-euxo", "pipefail"],
        input=script,
        cwd=checkout,
        env=environment(empty, prepared[1], tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    # What the page promises of refusals.
    for told in (
        "may have at most 3 replicas",
        "images must start with one of",
        "may not use the host docs.team-2.apps.example.com",
        "cannot list resource",
    ):
        assert told in done.stderr
    assert done.stdout.count("docs.flame-engine.org") >= 3  # by helm test, and twice in team-7
    assert not (checkout / "platform-values.yaml").exists()
