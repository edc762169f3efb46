"""What tests ask of an API server, mostly through kubectl, and a FlameMCPServer to apply there."""

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.harness.audit import WRITES
from tests.harness.control_plane import ControlPlane
from tests.harness.paths import REPO
from tests.harness.proc import wait_for
from tests.support.cluster.reading import Reader

CRD = REPO / "crds/flamemcpservers.yaml"
_numbers = itertools.count(1)

Json = dict[str, Any]


class Cluster:
    """What tests ask of the API server."""

    def __init__(self, plane: ControlPlane, audit_log: Path) -> None:
        self.plane = plane
        self.audit_log = audit_log
        self._reader = Reader(plane)

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
        return self._reader.get(kind, name, namespace)

    def found(self, kind: str, name: str, namespace: str) -> Json:
        body = self.get(kind, name, namespace)
        assert body is not None, f"{kind} {namespace}/{name} is missing"
        return body

    def items(self, kind: str, namespace: str) -> list[Json]:
        return self._reader.items(kind, namespace)

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

    def writes(self, namespace: str) -> Iterator[Json]:
        """The events of the audit log about writes in a namespace, refused included, in their order.

        Lines that don't name it are not parsed: the log has those of all tests before.
        """
        named = f'"namespace":"{namespace}"'
        with self.audit_log.open(encoding="utf-8") as log:
            for line in log:
                # The last line may still be being written.
                if named in line and line.endswith("\n"):
                    event = json.loads(line)
                    if event["verb"] in WRITES and event["objectRef"].get("namespace") == namespace:
                        yield event

    def operator_writes(self, namespace: str) -> list[str]:
        """What the operator has written there so far, as `verb resource[/subresource]`, refused included."""
        written = (
            (event["verb"], target(event["objectRef"]))
            for event in self.writes(namespace)
            if event.get("userAgent", "").startswith(("flame-operator", "kopf", "python"))
        )
        # The Lease is renewed all the time, and not the operator's work.
        return [f"{verb} {what}" for verb, what in written if what != "leases"]


def target(where: Json) -> str:
    """`resource[/subresource]` of an event of the audit log."""
    return "/".join(where[part] for part in ("resource", "subresource") if part in where)


def install_crd(plane: ControlPlane) -> None:
    """Apply the CRD, and wait until it is served."""
    plane.kubectl("apply", "--server-side", "-f", str(CRD))
    # `kubectl wait` fails on a CRD so young that it has no list of conditions yet.
    established = ("wait", "--for=condition=Established", "crd/flamemcpservers.flamemcp.dev")
    wait_for("the CRD", lambda: plane.kubectl(*established, check=False).returncode == 0, timeout=60)


def server(name: str, namespace: str, **spec: Any) -> Json:  # noqa: ANN401 - JSON
    """A FlameMCPServer as a user writes it."""
    return {
        "apiVersion": "flamemcp.dev/v1alpha1",
        "kind": "FlameMCPServer",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
