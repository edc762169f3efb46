"""A control plane with the CRD, and the operator as a process beside it."""

import http.client
import itertools
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from flame_operator.resource.kinds import SERVER, key_of
from tests.harness.audit import AuditLog
from tests.harness.control_plane import ControlPlane
from tests.harness.operator_process import Operator
from tests.harness.proc import wait_for

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds/flamemcpservers.yaml"
DRY_RUN = "?dryRun=All&fieldValidation=Strict"
_numbers = itertools.count(1)

Json = dict[str, Any]
Store = Callable[..., Json]
"""Stores `server(name, namespace, **spec)` and returns what the API server made of it."""


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

    def wait_for_condition(
        self, name: str, namespace: str, kind: str, expected: tuple[str, str], timeout: float = 30
    ) -> None:
        seen: dict[str, tuple[str, str]] = {}

        def there() -> bool:
            seen.update(self.conditions(name, namespace))
            return seen.get(kind) == expected

        try:
            wait_for(f"{kind} to be {expected}", there, timeout=timeout)
        except Exception as error:
            raise AssertionError(f"{kind} is not {expected}: {seen}") from error

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        wait_for(what, condition, timeout=30)

    def kubeconfig_of(self, namespace: str, account: str, folder: Path) -> Path:
        """A kubeconfig for a service account."""
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        token = self.kubectl("create", "token", account, "-n", namespace).stdout.strip()
        config["users"][0]["user"] = {"token": token}
        path = folder / f"{account}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def operator_writes(self, namespace: str | None = None) -> list[str]:
        """What the operator has written so far, as `verb resource[/subresource]`, refused included."""
        return [
            f"{request.verb} {request.target}"
            for request in AuditLog(self.audit_log).new()
            if request.is_write
            and request.agent.startswith(("flame-operator", "kopf", "python"))
            # The Lease is renewed all the time, and not the operator's work.
            and request.target != "leases"
            and namespace in (None, request.namespace)
        ]


def server(name: str, namespace: str, **spec: Any) -> Json:  # noqa: ANN401 - JSON
    """A FlameMCPServer as a user writes it."""
    return {
        "apiVersion": "flamemcp.dev/v1alpha1",
        "kind": "FlameMCPServer",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


class Client:
    """The API server through one connection: a kubectl for each of some hundred cases would take minutes."""

    def __init__(self, plane: ControlPlane) -> None:
        pki, at = plane.state / "pki", plane.endpoints
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.connection = http.client.HTTPSConnection(at.address, at.api_port, timeout=30, context=context)

    def send(self, method: str, path: str, body: object = None, kind: str = "json") -> tuple[int, Json]:
        """The status code and the body of the answer: an object, or a Status that says what is wrong."""
        headers = {"Content-Type": f"application/{kind}", "Accept": "application/json"}
        self.connection.request(method, path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        found: Json = json.loads(answer.read())
        return answer.status, found

    def create(self, body: Json, query: str = DRY_RUN) -> tuple[int, Json]:
        return self.send("POST", SERVER.path(body["metadata"]["namespace"]) + query, body)


def path_of(body: Json) -> str:
    return SERVER.path(*key_of(body))


def refused(code: int, answer: Json, says: str) -> None:
    assert code in (400, 422), answer
    assert says in answer["message"]
    assert "evaluating rule" not in answer["message"]  # a rule that failed instead of saying no


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    state = tmp_path_factory.mktemp("control-plane")
    audit_log = state / "audit.log"
    with ControlPlane.start(state, audit_log=audit_log) as plane:
        plane.kubectl("apply", "--server-side", "-f", str(CRD))
        # `kubectl wait` fails on a CRD so young that it has no list of conditions yet.
        established = ("wait", "--for=condition=Established", "crd/flamemcpservers.flamemcp.dev")
        wait_for("the CRD", lambda: plane.kubectl(*established, check=False).returncode == 0, timeout=60)
        yield Cluster(plane, audit_log)


@pytest.fixture(scope="module")  # the API server closes a connection that is idle for long
def client(cluster: Cluster) -> Iterator[Client]:
    found = Client(cluster.plane)
    yield found
    found.connection.close()


@pytest.fixture
def store(client: Client) -> Iterator[Store]:
    """Stores resources, which are gone afterwards: an operator that starts later must not find them."""
    paths: list[str] = []

    def create(name: str, namespace: str, **spec: Any) -> Json:  # noqa: ANN401 - JSON
        code, body = client.create(server(name, namespace, **spec), query="")
        assert code == 201, body
        paths.append(path_of(body))
        return body

    yield create
    for path in paths:
        assert client.send("DELETE", path)[0] == 200


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


@pytest.fixture
def start_operator(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Operators of one test; see `operators`."""
    with operators(cluster, tmp_path) as start:
        yield start


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    return cluster.namespace()
