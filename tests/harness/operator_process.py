"""The operator as a process, started and stopped as Kubernetes would."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.harness.paths import REPO
from tests.harness.proc import wait_for

PROGRAM = ("-m", "flame_operator")
TIMEOUT = 30


def free_port() -> int:
    """A free port below the range that the kernel hands out to outgoing connections, which come and go."""
    choose = random.SystemRandom()  # a test's own seed must not make two runs choose alike
    while True:
        port = choose.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def settings(kubeconfig: Path, metrics_port: int) -> dict[str, str]:
    """The environment of an operator that gets in nobody's way, with a Lease of its own."""
    return {
        "KUBECONFIG": str(kubeconfig),
        "FLAME_OPERATOR_SERVER_IMAGE": "flame-mcp-server:test",
        "FLAME_OPERATOR_METRICS_PORT": str(metrics_port),
        "FLAME_OPERATOR_LEASE_NAME": f"lease-{metrics_port}",
        # One installation, whatever its Lease: the next one goes on with what the one before has left.
        "FLAME_OPERATOR_IDENTITY": "tests/operator",
    }


class Operator:
    """`flame-operator run`.

    Args:
        kubeconfig: Who it is and where its API server is.
        log: The file for its log, which is appended to.
        args: More arguments of `run`.
        program: How Python is told to run it.
        env: Settings, over the usual ones.
    """

    def __init__(
        self, kubeconfig: Path, log: Path, *args: str, program: Sequence[str] = PROGRAM, **env: str
    ) -> None:
        self.log = log
        self.port, self.metrics_port = free_port(), free_port()
        command = [sys.executable, *program, "run", "--liveness-port", str(self.port), *args]
        environment = {**os.environ, **settings(kubeconfig, self.metrics_port), **env}
        with log.open("a") as stream:
            self._process = subprocess.Popen(command, stderr=stream, env=environment, cwd=REPO)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log's lines about one event."""
        found = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in found if line["event"] == event]

    def wait_until_ready(self) -> None:
        self.wait_for("ready")

    def wait_for(self, event: str, count: int = 1) -> None:
        wait_for(
            f"the operator to log {event}",
            lambda: self._alive() and len(self.lines(event)) >= count,
            timeout=TIMEOUT,
        )

    def _alive(self) -> bool:
        assert self.running, self.log.read_text()
        return True

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an endpoint; status 0 when nothing answers."""
        port = self.metrics_port if path == "/metrics" else self.port
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(TIMEOUT)

    def stop(self) -> str:
        """SIGTERM; returns the log, in which nothing unexpected may be."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log.read_text()
        text = self.log.read_text()
        assert "Traceback" not in text, text
        # kopf calls it an error when the stop cuts off its own request. It isn't ours and does no harm.
        ours = [line for line in text.splitlines() if '"logger": "flame_operator' in line]
        assert not [line for line in ours if '"level": "error"' in line], text
        return text
