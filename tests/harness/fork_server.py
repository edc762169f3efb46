"""Starts operators from a process that has loaded everything already: 0.1 s instead of 1.5 s.

A test that kills the operator after each of its writes starts it a hundred times, and nearly all of that time
would go into loading modules. A child is a process of its own with nothing but those modules: it reads its
settings, opens its connections and is killed like any other.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness.operator_process import settings
from tests.harness.paths import REPO
from tests.harness.proc import Identity, stop_process

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class ForkServer:
    """A process that starts operators; a context manager that ends it, and them."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.harness.fork_server"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPO
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # closes its input, at which it ends

    def start(self, kubeconfig: Path, log: Path, *args: str, **env: str) -> "ForkedOperator":
        """`flame-operator run` with more arguments and settings."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "args": ["run", "--liveness-port", "0", *args],
            "env": {**settings(kubeconfig, 0), **env},
            "log": str(log),
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return ForkedOperator(int(self._process.stdout.readline()))


class ForkedOperator:
    """One of its operators."""

    def __init__(self, pid: int) -> None:
        self._identity = Identity.of(pid)

    @property
    def running(self) -> bool:
        return self._identity is not None and self._identity.alive()

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._identity is not None:
            stop_process(self._identity, grace=0)


def _serve() -> None:
    from flame_operator import app  # noqa: F401, PLC0415 - loaded once, for all children
    from flame_operator.commands import main as cli  # noqa: F401, PLC0415 - loaded once, for all children

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_operator(json.loads(line))
        print(pid, flush=True)


def _become_operator(order: dict[str, Any]) -> None:
    from kubernetes.aio.config import kube_config  # noqa: PLC0415 - as in _serve

    from flame_operator.commands.main import main  # noqa: PLC0415 - as in _serve

    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDWR)
    for source, target in ((nothing, 0), (nothing, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order["env"])
    # Which the client has read from the environment when it was loaded.
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = os.environ["KUBECONFIG"]
    try:
        main(order["args"], prog_name="flame-operator")
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)


if __name__ == "__main__":
    _serve()
