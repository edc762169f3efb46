"""Broken watches and lists: the operator goes on seeing, or it ends and its next start sees.

What must never be is an operator that is alive and blind. The operator here resyncs only once an hour, so
that no sweep hides a watch that has gone quiet; it is started again when it ends, as Kubernetes would.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from flame_operator.resource.kinds import SERVER, SERVICE, WATCHED_KINDS
from tests.harness.fork_server import ForkedOperator, ForkServer
from tests.harness.proc import wait_for
from tests.harness.proxy import Answer, Call, Fault, FaultProxy, Lose, failure
from tests.support.cluster.cluster import Cluster, server

pytestmark = pytest.mark.cluster

USER = "watch-faults"
WATCHED = {kind.plural for kind in (SERVER, *WATCHED_KINDS)}
SEEING_SECONDS = 45


class Supervised:
    """An operator that is started again when it ends."""

    def __init__(self, start: Callable[[], ForkedOperator]) -> None:
        self._start = start
        self._operator = start()

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            if not self._operator.running:
                self._operator = self._start()
            return condition()

        wait_for(what, holds, timeout=SEEING_SECONDS)

    def end(self) -> None:
        self._operator.kill()


@dataclass
class Scene:
    """The API server as the operator meets it."""

    cluster: Cluster
    proxy: FaultProxy
    operator: Supervised

    def wait_until_watching(self) -> None:
        self.operator.wait_for("all watches to be open", lambda: self.proxy.watched >= WATCHED)


@pytest.fixture(scope="module")
def scene(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("watch-faults")
    with FaultProxy(cluster.plane, USER, folder) as proxy, ForkServer() as forks:
        settings = {
            "FLAME_OPERATOR_RESYNC_SECONDS": "3600",
            "FLAME_OPERATOR_SETTLE_SECONDS": "3600",
            "FLAME_OPERATOR_LEADER_ELECTION": "false",
        }
        operator = Supervised(partial(forks.start, proxy.kubeconfig, folder / "operator.log", **settings))
        yield Scene(cluster, proxy, operator)
        operator.end()


def is_watch(call: Call) -> bool:
    return call.is_watch


def is_list(call: Call) -> bool:
    return call.is_list and call.resource in WATCHED


def is_any(_: Call) -> bool:
    return True


def event(kind: str, body: object) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def ending(last: bytes = b"", *, clean: bool = True) -> Callable[[Scene], int]:
    """All watches end, after a last piece of stream."""
    return lambda scene: scene.proxy.end_watches(last, clean=clean)


EXPIRED = event("ERROR", failure(410, "Expired"))
"""After this a list is due; a watch that merely ends is opened again where it was."""


def failing(
    fits: Callable[[Call], bool], action: Answer | Lose, *, each: int = 1, last: bytes = b""
) -> Callable[[Scene], int]:
    """All watches end; what comes next and fits fails, so many times for each kind."""

    def break_it(scene: Scene) -> int:
        fault = scene.proxy.add(Fault(fits, action, times=each * len(WATCHED)))
        scene.proxy.end_watches(last)
        scene.operator.wait_for("the fault to be met", lambda: fault.fired >= len(WATCHED))
        scene.proxy.clear()
        return fault.fired

    return break_it


FAULTS: dict[str, Callable[[Scene], int]] = {
    "end": ending(),
    "cut": ending(clean=False),
    "cut within a line": ending(b'{"type":"ADDED","object":{"met', clean=False),
    "end within a line": ending(b'{"type":"ADDED","object":{"met'),
    "ERROR 410": ending(EXPIRED),
    "ERROR 500": ending(event("ERROR", failure(500, "InternalError"))),
    "ERROR 429": ending(event("ERROR", failure(429, "TooManyRequests"))),
    "unknown event": ending(event("SURPRISE", {})),
    "watch answers 410": failing(is_watch, Answer(410)),
    "watch answers 404": failing(is_watch, Answer(404)),
    "watch answers 401": failing(is_watch, Answer(401)),
    "watch answers 403": failing(is_watch, Answer(403)),
    "watch answers 429": failing(is_watch, Answer(429, retry_after=1)),
    "watch answers 500": failing(is_watch, Answer(500), each=2),
    "watch answers 503": failing(is_watch, Answer(503), each=2),
    "list answers 500": failing(is_list, Answer(500), last=EXPIRED),
    "list answers 404": failing(is_list, Answer(404), last=EXPIRED),
    "list answers 401": failing(is_list, Answer(401), last=EXPIRED),
    "list answers 410": failing(is_list, Answer(410), last=EXPIRED),
    "list answers 429": failing(is_list, Answer(429, retry_after=1), last=EXPIRED),
    "no answer": failing(is_any, Lose(), each=2, last=EXPIRED),
}


@pytest.mark.timeout(150)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_an_operator_that_is_alive_sees(scene: Scene, namespace: str, fault: Callable[[Scene], int]) -> None:
    scene.wait_until_watching()
    assert fault(scene) >= len(WATCHED)
    scene.cluster.apply(server("docs", namespace))

    def uid() -> str | None:
        found = scene.cluster.get("service", "docs", namespace)
        return found["metadata"]["uid"] if found else None

    scene.operator.wait_for("the new resource to be seen", lambda: uid() is not None)
    # One that has just started lists, and only then watches: what goes in between the next sweep finds.
    scene.wait_until_watching()
    before = uid()
    scene.cluster.kubectl("delete", SERVICE.plural, "docs", "-n", namespace)
    scene.operator.wait_for("the deletion to be seen", lambda: uid() not in (None, before))
