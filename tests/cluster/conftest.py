"""A control plane with the CRD, and the operator as a process beside it."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.control_plane import ControlPlane
from tests.harness.proc import wait_for

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds/flamemcpservers.yaml"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
_numbers = itertools.count(1)

Json = dict[str, Any]


class Operator:
    """`flame-operator run`, started and stopped as Kubernetes would."""

    def __init__(self, kubeconfig: Path, log: Path, *args: str, **env: str) -> None:
        self.log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "flame_operator", "run", "--liveness-port", str(self.port), *args]
        settings = {
            "KUBECONFIG": str(kubeconfig),
            "FLAME_OPERATOR_SERVER_IMAGE": "flame-mcp-server:test",
            **env,
        }
        with log.open("a") as stream:
            self._process = subprocess.Popen(command, stderr=stream, env={**os.environ, **settings}, cwd=ROOT)

    def lines(self, event: str) -> list[Json]:
        """The log's lines about one event."""
        found = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in found if line["event"] == event]

    def wait_until_ready(self) -> None:
        self.wait_for("ready")

    def wait_for(self, event: str, count: int = 1) -> None:
        wait_for(
            f"the operator to log {event}",
            lambda: self._alive() and len(self.lines(event)) >= count,
            timeout=30,
        )

    def _alive(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> str:
        """SIGTERM; returns the log, in which nothing unexpected may be."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0, self.log.read_text()
        text = self.log.read_text()
        # kopf calls it an error when the stop cuts off its own request. While its watches still open, asyncio
        # tells of a generator of kopf's that did not close. Neither is ours or does harm.
        lines = [line for line in text.splitlines() if "async_generator object infinite_watch" not in line]
        assert "Traceback" not in "\n".join(lines), text
        ours = [line for line in lines if '"logger": "flame_operator' in line]
        assert not [line for line in ours if '"level": "error"' in line], text
        return text


class Cluster:
    """What tests ask of the API server."""

    def __init__(self, plane: ControlPlane, audit_log: Path) -> None:
        self.plane = plane
        self.audit_log = audit_log

    def kubectl(
        self, *args: str, text: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return self.plane.kubectl(*args, input=text, check=check)

    def namespace(self, **labels: str) -> str:
        name = f"test-{next(_numbers)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.apply(body)
        return name

    def apply(self, *bodies: Json) -> None:
        self.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(bodies))

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        found = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found").stdout
        body: Json | None = json.loads(found) if found else None
        return body

    def found(self, kind: str, name: str, namespace: str) -> Json:
        body = self.get(kind, name, namespace)
        assert body is not None, f"{kind} {namespace}/{name} is missing"
        return body

    def items(self, kind: str, namespace: str) -> list[Json]:
        items: list[Json] = json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json").stdout)[
            "items"
        ]
        return items

    def conditions(self, name: str, namespace: str) -> dict[str, tuple[str, str]]:
        status = self.found("fmcp", name, namespace).get("status", {})
        return {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])}

    def wait_for_condition(self, name: str, namespace: str, kind: str, expected: tuple[str, str]) -> None:
        seen: dict[str, tuple[str, str]] = {}

        def there() -> bool:
            seen.update(self.conditions(name, namespace))
            return seen.get(kind) == expected

        try:
            wait_for(f"{kind} to be {expected}", there, timeout=30)
        except Exception as error:
            raise AssertionError(f"{kind} is not {expected}: {seen}") from error

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        wait_for(what, condition, timeout=30)

    def operator_writes(self, namespace: str | None = None) -> list[str]:
        """What the operator has written so far, as `verb resource[/subresource]`, refused included."""
        found = []
        for line in self.audit_log.read_text().splitlines():
            event = json.loads(line)
            agent, target = event.get("userAgent", ""), event.get("objectRef", {})
            if event["verb"] not in WRITES or not agent.startswith(("flame-operator", "kopf", "python")):
                continue
            if namespace in (None, target.get("namespace")):
                sub = f"/{target['subresource']}" if "subresource" in target else ""
                found.append(f"{event['verb']} {target['resource']}{sub}")
        return found


def server(name: str, namespace: str, **spec: Any) -> Json:  # noqa: ANN401 - JSON
    """A FlameMCPServer as a user writes it."""
    return {
        "apiVersion": "flamemcp.dev/v1alpha1",
        "kind": "FlameMCPServer",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    state = tmp_path_factory.mktemp("control-plane")
    audit_log = state / "audit.log"
    with ControlPlane.start(state, audit_log=audit_log) as plane:
        plane.kubectl("apply", "--server-side", "-f", str(CRD))
        plane.kubectl(
            "wait", "--for=condition=Established", "crd/flamemcpservers.flamemcp.dev", "--timeout=30s"
        )
        yield Cluster(plane, audit_log)


@pytest.fixture
def start_operator(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Starts an operator that is ready; all are stopped, and checked, at the end."""
    started: list[Operator] = []

    def start(*args: str, **env: str) -> Operator:
        log = tmp_path / f"operator-{len(started)}.log"
        started.append(Operator(cluster.plane.kubeconfig, log, *args, **env))
        started[-1].wait_until_ready()
        return started[-1]

    yield start
    for operator in started:
        if operator._process.poll() is None:
            operator.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.namespace()
