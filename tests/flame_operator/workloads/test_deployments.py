"""What a Deployment says of its rollout."""

from typing import Any

import pytest

from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.deployments import is_rolling, reads_secret, references_digest


def deployment(*, generation: int = 2, observed: int | None = 2, **condition: Any) -> Manifest:  # noqa: ANN401
    status: Manifest = {} if observed is None else {"observedGeneration": observed}
    if condition:
        status["conditions"] = [{"type": "Available", "reason": "x"}, {"type": "Progressing", **condition}]
    return {"metadata": {"generation": generation}, "status": status}


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
