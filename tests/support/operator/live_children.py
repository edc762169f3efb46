# ruff: noqa: ANN401 - JSON values
"""Children as the API server gives them back, and a Deployment that somebody has edited."""

import copy
from typing import Any

from flame_operator.desired.children import desired_children
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server
from tests.support.operator.children import DEFAULTS, facts, parse


def live(child: Manifest, **metadata: Any) -> Manifest:
    """A child as the API server gives it back: with a uid, defaults, and what others have added."""
    found = copy.deepcopy(child)
    found["metadata"] |= {
        "uid": f"uid-of-{child['kind']}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    } | metadata
    found["status"] = {"observedGeneration": 1}
    return found


def setting(**spec: Any) -> tuple[Server, tuple[Manifest, ...]]:
    one = parse(**spec)
    return one, desired_children(one, DEFAULTS, facts(one))


def deployment_with(change: Any) -> tuple[Server, tuple[Manifest, ...], list[Manifest]]:
    one, wanted = setting(resources={"requests": {"cpu": "0.5"}}, env=[{"name": "A", "value": "1"}])
    observed = [live(child) for child in wanted]
    change(next(child for child in observed if child["kind"] == "Deployment"))
    return one, wanted, observed


def container(deployment: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][-1]
    return found


def add_sidecar(deployment: Manifest) -> None:
    deployment["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    deployment["spec"]["template"]["spec"]["volumes"].insert(0, {"name": "certs", "emptyDir": {}})
