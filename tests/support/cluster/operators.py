"""Operators as processes beside a control plane, with a Lease in common."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster

_numbers = itertools.count(1)


@contextmanager
def operators(cluster: Cluster, folder: Path) -> Iterator[Callable[..., Operator]]:
    """Starts operators that are ready; all are stopped, and checked, at the end.

    They have a Lease in common. One that starts when no other runs has the name of the one before, as a
    container that Kubernetes starts again, and takes over the Lease of one that was killed.
    """
    started: list[Operator] = []
    lease = f"lease-{next(_numbers)}"

    def start(*args: str, ready: bool = True, kubeconfig: Path | None = None, **env: str) -> Operator:
        log = folder / f"operator-{len(started)}.log"
        running = [one for one in started if one.running]
        names = {"FLAME_OPERATOR_LEASE_NAME": lease, "FLAME_OPERATOR_POD_NAME": f"operator-{len(running)}"}
        started.append(Operator(kubeconfig or cluster.plane.kubeconfig, log, *args, **(names | env)))
        if ready:
            started[-1].wait_until_ready()
        return started[-1]

    yield start
    for operator in started:
        if operator.running:
            operator.stop()
