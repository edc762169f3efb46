"""The plain server chart on a real node: what the operator's users get, without an operator."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness import volumes
from tests.harness.cluster import Cluster
from tests.harness.paths import REPO
from tests.harness.proc import wait_for
from tests.support.e2e import product, standins

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CHART = REPO / "helm" / "flame-mcp-server"
Install = Callable[..., str]


@pytest.fixture
def cluster(installed: Cluster, namespace: str) -> Iterator[Cluster]:
    """The cluster, with a volume for the test's claim, and with the test's namespace."""
    product.apply_namespace(installed, namespace)
    with volumes.provided(installed, 1):
        yield installed


@pytest.fixture
def install(cluster: Cluster, namespace: str, server_image: str, tmp_path: Path) -> Install:
    """`helm upgrade --install` of values, which waits until all is ready; what it prints."""

    def run(values: dict[str, Any], chart: Path = CHART) -> str:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump({"image": server_image, "fullnameOverride": "docs", **values}))
        options = ("-n", namespace, "-f", str(file), "--wait", "--timeout=4m")
        return cluster.helm("upgrade", "--install", "docs", str(chart), *options).stdout

    return run


def test_standalone_from_install_to_uninstall(
    cluster: Cluster, namespace: str, install: Install, tmp_path: Path
) -> None:
    def pods() -> set[tuple[str, int]]:
        return product.pods(cluster, namespace, "app.kubernetes.io/component=server")

    told = install({"replicas": 2})
    assert f"helm test docs -n {namespace} --logs" in told
    tested = cluster.helm("test", "docs", "-n", namespace, "--logs").stdout
    assert "docs.flame-engine.org" in tested

    # A newer chart alone restarts nothing.
    before = pods()
    newer = tmp_path / "newer"
    shutil.copytree(CHART, newer)
    metadata = yaml.safe_load((newer / "Chart.yaml").read_text())
    (newer / "Chart.yaml").write_text(yaml.safe_dump(metadata | {"version": "99.0.0"}))
    install({"replicas": 2}, newer)
    assert pods() == before

    # A setting does, one by one, and a rollback takes it back.
    install({"replicas": 2, "search": {"maxTokens": 6000}}, newer)
    wait_for("the old pods to go", lambda: not pods() & before, timeout=60)
    cluster.helm("rollback", "docs", "2", "-n", namespace, "--wait", "--timeout=2m")
    tokens = product.get(cluster, namespace, "configmap/docs")["data"]["FLAME_MCP_MAX_TOKENS"]
    assert tokens == "4000"

    cluster.helm("uninstall", "docs", "-n", namespace, "--wait", "--timeout=2m")
    # The test's pod is kept to be looked at; it is no object of the release.
    kinds = "all,configmaps,secrets,networkpolicies,serviceaccounts,poddisruptionbudgets"
    label = ("-l", "app.kubernetes.io/instance=docs,app.kubernetes.io/component!=test")

    def gone() -> bool:
        return not cluster.kubectl("get", kinds, "-n", namespace, *label, "-o", "name").stdout

    wait_for("all to be gone", gone, timeout=60)


def test_full_stack_from_a_git_server_to_a_new_page(
    cluster: Cluster, namespace: str, install: Install, prepared: tuple[Cluster, product.Images]
) -> None:
    built = prepared[1]
    git = standins.git_server(cluster, namespace, standins.image(cluster, built))
    token, keys = "flame-token", "flame-qdrant"
    for secret, names in ((keys, ("api-key", "read-only-api-key")), (token, ("token",))):
        given = [f"--from-literal={key}={uuid.uuid4().hex}" for key in names]
        cluster.kubectl("create", "secret", "generic", secret, "-n", namespace, *given)
    # A resource's spec, but for what a chart can't make: random Secrets.
    spec = standins.full_stack(git)
    spec["vectorStore"]["managed"]["image"] = standins.qdrant_image(cluster, built)
    secrets = {"token": {"existingSecret": token}, "qdrant": {"existingSecret": keys}}
    started = time.monotonic()
    install({"mode": "fullStack", "auth": {"type": "Bearer"}, "secrets": secrets, **spec})
    print(f"Full Stack without an operator: ready {time.monotonic() - started:.1f} s after install")
    tested = cluster.helm("test", "docs", "-n", namespace, "--logs").stdout
    assert "docs.flame-engine.org" in tested

    def found_first() -> str:
        question = ["ask", "--token-file=/secret/token", "--json", standins.NEW_QUESTION]
        url = f"--url=http://docs.{namespace}.svc/mcp"
        told = product.run_in_a_pod(cluster, namespace, built.server, [*question, url], secret=token)
        return str(json.loads(told)["results"][0]["source_path"])

    # The next run of the schedule finds a new page.
    assert found_first() != standins.NEW_PAGE
    git.run("change", standins.NEW_PAGE, standins.NEW_TEXT)
    cluster.kubectl("create", "job", "now", "--from=cronjob/docs-ingest", "-n", namespace)
    cluster.kubectl("wait", "job/now", "-n", namespace, "--for=condition=Complete", "--timeout=120s")
    wait_for("the new page to be found", lambda: found_first() == standins.NEW_PAGE, timeout=60)
