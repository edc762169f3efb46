"""The examples on a real API server."""

import copy
from collections.abc import Iterator
from functools import partial

import pytest
import yaml

from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import job
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.references import references
from flame_operator.desired.run import Run
from flame_operator.resource.server import parse_server
from tests.harness.paths import REPO
from tests.support.cluster.cluster import Cluster, Json
from tests.support.cluster.default_children import children
from tests.support.operator.children import facts

pytestmark = pytest.mark.cluster


def test_pods_pass_pod_security_restricted(cluster: Cluster) -> None:
    namespace = cluster.namespace(**{"pod-security.kubernetes.io/warn": "restricted"})
    for example in examples():
        body = {**example, "metadata": {**example["metadata"], "namespace": namespace, "uid": "0"}}
        one, defaults = parse_server(body, forbid_unknown=True), Defaults(image="x:1")
        wanted = [
            *desired_children(one, defaults, facts(one)),
            job(one, defaults, Run("ingest", "spec", "x")),
        ]
        for child in copy.deepcopy([child for child in wanted if "template" in child.get("spec", {})]):
            del child["metadata"]["ownerReferences"]
            result = cluster.kubectl("apply", "--dry-run=server", "-f", "-", text=yaml.safe_dump(child))
            assert "Warning" not in result.stderr
            child["spec"]["template"]["spec"]["hostNetwork"] = True
            result = cluster.kubectl(
                "apply", "--dry-run=server", "-f", "-", text=yaml.safe_dump(child), check=False
            )
            assert "Warning" in result.stderr or result.returncode != 0


def has_children(cluster: Cluster, namespace: str, name: str) -> bool:
    return all(children(cluster, namespace, name).values())


def examples() -> Iterator[Json]:
    for path in sorted((REPO / "examples").glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def stalled(example: Json) -> tuple[str, str]:
    """What an example says where nothing but itself is there."""
    one = parse_server(
        {**example, "metadata": {**example["metadata"], "namespace": "any"}}, forbid_unknown=True
    )
    if any(reference.rolls and not reference.own for reference in references(one)):
        return "True", "ReferenceMissing"
    return "False", "UpToDate"


@pytest.mark.usefixtures("operator")
def test_examples_apply(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("apply", "--validate=strict", "-n", namespace, "-f", str(REPO / "examples"))
    for example in examples():
        name, expected = example["metadata"]["name"], stalled(example)
        cluster.wait_for_condition(name, namespace, "Stalled", expected)
        if expected[0] == "False":
            cluster.wait_until(f"the children of {name}", partial(has_children, cluster, namespace, name))
