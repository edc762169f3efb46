"""What a Deployment says of its rollout."""

from typing import Any

import pytest

from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.deployments import is_rolling, pod_counts, reads_secret, references_digest


def deployment(*, generation: int = 2, observed: int | None = 2, **condition: Any) -> Manifest:  # noqa: ANN401
    status: Manifest = {} if observed is None else {"observedGeneration": observed}
    if condition:
        status["conditions"] = [{"type": "Available", "reason": "x"}, {"type": "Progressing", **condition}]
    return {"metadata": {"generation": generation}, "status": status}


@pytest.mark.parametrize(
    "condition",
    [
        {
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": 'pods "docs-7f5-x8k2p" is forbidden: exceeded quota: tiny',
        },
        {
            "type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError",
            "message": 'replicasets.apps "docs-7f5" is forbidden: exceeded quota: tiny',
        },
    ],
    ids=["pods", "replica-sets"],
)  # fmt: skip
def test_what_the_cluster_refuses_is_told(condition: Manifest) -> None:
    body = deployment()
    body["status"]["conditions"] = [condition]
    rejected = pod_counts(body).rejected
    assert rejected is not None
    assert "exceeded quota: tiny" in rejected
    assert "Change spec.resources" in rejected
    body["status"]["observedGeneration"] = 1
    assert pod_counts(body).rejected is None


@pytest.mark.parametrize(
    ("body", "rolling"),
    [
        ({"metadata": {"generation": 1}}, True),
        (deployment(observed=None), True),
        (deployment(), True),
        (deployment(observed=1, status="True", reason="NewReplicaSetAvailable"), True),
        (deployment(status="True", reason="ReplicaSetUpdated"), True),
        (deployment(status="True", reason="NewReplicaSetAvailable"), False),
        (deployment(status="False", reason="ProgressDeadlineExceeded"), False),
    ],
)
def test_is_rolling(body: Manifest, rolling: bool) -> None:
    assert is_rolling(body) is rolling


def test_pods_without_a_token_were_made_with_nothing() -> None:
    def made_with(digest: str) -> str:
        annotations = {"flamemcp.dev/references-digest": digest}
        return references_digest({"spec": {"template": {"metadata": {"annotations": annotations}}}})

    assert (made_with("1234-5678"), made_with("token-gone")) == ("1234-5678", "")


@pytest.mark.parametrize(
    ("name", "key", "reads"), [("tokens", "a", True), ("tokens", "b", False), ("other", "a", False)]
)
def test_what_pods_mount(name: str, key: str, reads: bool) -> None:
    secret = {"name": "tokens", "items": [{"key": "a", "path": "auth-token"}]}
    volumes = [{"name": "tmp"}, {"name": "credentials", "projected": {"sources": [{"secret": secret}]}}]
    assert reads_secret({"spec": {"template": {"spec": {"volumes": volumes}}}}, name, key) is reads
    assert not reads_secret(None, name, key)
