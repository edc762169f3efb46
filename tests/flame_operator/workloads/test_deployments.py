"""What a Deployment says of its rollout."""

from typing import Any

import pytest

from flame_operator.resource.kinds import Manifest
from flame_operator.workloads.deployments import is_rolling


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
