"""API server, etcd and controller manager on 127.0.0.1: a real Kubernetes API without a node.

Needs no root, no network namespace and no packages. Any number can run side by side.
"""

import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness import components, paths, tools
from tests.harness.api import Api
from tests.harness.components import Endpoints
from tests.harness.errors import HarnessError
from tests.harness.pki import Authority, Certificate
from tests.harness.proc import Daemon, run, wait_for

_LOOPBACK = "127.0.0.1"
_NAMES = ("kube-controller-manager", "kube-apiserver", "etcd")  # in the order of stopping
# There is no node that would route to Services: whoever asks one asks this machine, where a test may listen.
_SERVICES = "127.128.0.0/17"
_ATTEMPTS = 3

_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
"""
_AUDIT_BODIES = "- {level: Request, verbs: [create, update, patch, delete, deletecollection]}\n"
_AUDIT_METADATA = "- {level: Metadata}\n"


@dataclass(frozen=True)
class _Options:
    audit_log: Path | None
    audit_bodies: bool
    controllers: bool
    admission: Sequence[str]


class ControlPlane:
    """A running control plane; a context manager that stops it."""

    def __init__(self, state: Path, at: Endpoints) -> None:
        self.state = state
        self.endpoints = at
        self.kubeconfig = state / "kubeconfig"
        self._guard: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        state: Path,
        *,
        audit_log: Path | None = None,
        audit_bodies: bool = True,
        controllers: bool = True,
        admission: Sequence[str] = (),
    ) -> Self:
        """Starts one and waits until it answers. Whatever an earlier run left running is stopped first.

        Args:
            state: The folder of its data, keys and logs.
            audit_log: Where the API server writes a line of JSON per request.
            audit_bodies: Whether these lines hold the bodies of requests that write.
            controllers: Whether the controller manager runs, which makes pods and collects garbage.
            admission: Admission plugins besides the default ones.

        Raises:
            HarnessError: a component died or nothing answered in time; shows the end of its log.
        """
        options = _Options(audit_log, audit_bodies, controllers, admission)
        tools.ensure(*tools.CONTROL_PLANE)
        state = state.absolute()
        for attempt in range(1, _ATTEMPTS + 1):
            plane = cls(state, _free_endpoints())
            plane.stop()
            try:
                plane._launch(options)
            except BaseException as error:
                plane.stop()
                # Between finding a free port and taking it, someone else may have been quicker.
                if attempt < _ATTEMPTS and "address already in use" in str(error):
                    continue
                raise
            return plane
        raise AssertionError("the last attempt returns or raises")

    def _launch(self, options: _Options) -> None:
        authority = Authority(self.state / "pki")
        components.admin(authority, self.kubeconfig, self.endpoints)
        etcd, api_server, manager = (self._daemon(name) for name in reversed(_NAMES))
        self._guard = _start_guard(self.state)
        etcd.start(components.etcd(tools.binary("etcd"), self.state / "etcd", self.endpoints))
        api_server.start(
            [
                *components.api_server(tools.binary("kube-apiserver"), authority, self.endpoints, _SERVICES),
                # A loopback address can't be an endpoint of the `kubernetes` Service.
                "--endpoint-reconciler-type=none",
                *self._flags(options),
            ]
        )
        api = Api(self.endpoints, self.state / "pki")
        wait_for("the API server to be ready", api.ready, timeout=60, needs=[etcd, api_server])
        if not options.controllers:
            return
        kubeconfig = components.component(authority, manager.name, self.endpoints, self.state)
        manager.start(components.controller_manager(tools.binary(manager.name), authority, kubeconfig))
        wait_for(
            "the controllers to work",
            # Made by a controller, and without it no pod is admitted.
            lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None,
            timeout=60,
            needs=[etcd, api_server, manager],
        )

    def _flags(self, options: _Options) -> list[str]:
        flags = [f"--enable-admission-plugins={plugin}" for plugin in options.admission]
        if options.audit_log is None:
            return flags
        policy = self.state / "audit-policy.yaml"
        bodies = _AUDIT_BODIES if options.audit_bodies else ""
        policy.write_text(_AUDIT_POLICY + bodies + _AUDIT_METADATA)
        return [*flags, f"--audit-log-path={options.audit_log.absolute()}", f"--audit-policy-file={policy}"]

    def identity(self, name: str, group: str = "system:masters") -> Path:
        """A kubeconfig for a user of that name, whom the audit log then tells apart."""
        authority = Authority(self.state / "pki")
        pair = authority.pair(f"user-{name}", Certificate(name, group))
        return authority.kubeconfig(self.state / f"{name}.kubeconfig", self.endpoints.server, *pair)

    def _daemon(self, name: str) -> Daemon:
        return daemon(self.state, name)

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - subprocess.run's name
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl as the cluster's admin.

        Raises:
            HarnessError: with `check`, kubectl failed; shows what it said.
        """
        cache = self.state / "kubectl-cache"  # ports come back with other clusters behind them
        argv: list[str | Path] = [
            tools.binary("kubectl"),
            f"--kubeconfig={self.kubeconfig}",
            f"--cache-dir={cache}",
            *args,
        ]
        return run(argv, text_input=input, check=check)

    def stop(self) -> None:
        """Stops everything and removes etcd's data; logs stay. May be called again."""
        stop_all(self.state)
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
        shutil.rmtree(self.state / "etcd", ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def daemon(state: Path, name: str) -> Daemon:
    """A component of the control plane whose state is in `state`."""
    return Daemon(name, state, state / "log")


def stop_all(state: Path) -> None:
    """Kills the components below `state`: a gentle end takes the API server 25 s, and for nothing."""
    for name in _NAMES:
        daemon(state, name).stop(grace=0)


def _start_guard(state: Path) -> subprocess.Popen[bytes]:
    """A process that stops the control plane when this one ends, however it ends.

    It reads a pipe that only this process writes to. (PR_SET_PDEATHSIG would fire as soon as the starting
    thread ends, and tests start things from threads.)
    """
    argv = [sys.executable, "-m", "tests.harness.guard", str(state)]
    return subprocess.Popen(argv, cwd=paths.REPO, stdin=subprocess.PIPE, start_new_session=True)


def _free_endpoints() -> Endpoints:
    """Three free ports below the range that the kernel hands out to outgoing connections."""
    ports: list[int] = []
    choose = random.SystemRandom()  # a test's own seed must not make two runs choose alike
    for _ in range(1000):
        port = choose.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
        if len(ports) == 3:
            return Endpoints(_LOOPBACK, *ports)
    raise HarnessError(
        f"no free ports between 20000 and 32000 on {_LOOPBACK}: see `ss -ltn` for who has them"
    )
