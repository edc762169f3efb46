"""What the harness builds and runs: a tool, certificates, and a control plane that leaves nothing behind."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness import components, paths, tools
from tests.harness.components import Endpoints
from tests.harness.control_plane import ControlPlane, daemon
from tests.harness.pki import Authority
from tests.harness.proc import Identity, run, wait_for


def test_build_is_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLAME_CACHE", str(tmp_path))
    program = tools.binary("pause")
    built = program.stat().st_mtime_ns
    assert program.is_relative_to(tmp_path)
    assert tools.binary("pause").stat().st_mtime_ns == built
    assert [entry.name for entry in program.parent.iterdir()] == ["pause"]


def test_certificates_are_accepted_by_openssl_and_kept(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    at = Endpoints("127.0.0.1", 1, 2, 3)
    components.api_server(Path("kube-apiserver"), authority, at)
    for name, purpose in (("apiserver", "sslserver"), ("kubelet-client", "sslclient")):
        verify = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile"]
        files = [str(authority.certificate), str(tmp_path / f"{name}.crt")]
        assert run([*verify, *files]).stdout.strip().endswith("OK")
    before = (tmp_path / "apiserver.crt").read_bytes()
    components.api_server(Path("kube-apiserver"), Authority(tmp_path), at)
    assert (tmp_path / "apiserver.crt").read_bytes() == before
    assert all(key.stat().st_mode & 0o077 == 0 for key in tmp_path.glob("*.key"))


COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager")


def _identities(state: Path) -> list[Identity]:
    found = [daemon(state, name).identity() for name in COMPONENTS]
    assert all(found)
    return [identity for identity in found if identity is not None]


@pytest.fixture(scope="module")
def _tools() -> None:
    tools.ensure(*tools.CONTROL_PLANE)


@pytest.mark.cluster
@pytest.mark.usefixtures("_tools")
def test_control_plane_answers_quickly_and_leaves_nothing(tmp_path: Path) -> None:
    started = time.monotonic()
    with ControlPlane.start(tmp_path, audit_log=tmp_path / "audit.log") as plane:
        assert time.monotonic() - started < 30
        plane.kubectl("create", "configmap", "one", "--from-literal=a=b")
        read: dict[str, Any] = json.loads(plane.kubectl("get", "configmap", "one", "-o", "json").stdout)
        assert read["data"] == {"a": "b"}
        running = _identities(tmp_path)
        events = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
        assert any(e["verb"] == "create" and e["requestObject"].get("data") == {"a": "b"} for e in events)
    assert not any(identity.alive() for identity in running)
    assert not (tmp_path / "etcd").exists()


@pytest.mark.cluster
@pytest.mark.usefixtures("_tools")
def test_garbage_is_collected_and_rbac_holds(tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path) as plane:
        plane.kubectl("create", "deployment", "owner", "--image=none")
        wait_for(
            "the deployment's replica set",
            lambda: plane.kubectl("get", "replicasets", "-o", "name").stdout.strip() != "",
            timeout=30,
        )
        plane.kubectl("delete", "deployment", "owner")
        wait_for(
            "the replica set to be gone",
            lambda: plane.kubectl("get", "replicasets", "-o", "name").stdout.strip() == "",
            timeout=30,
        )
        allowed = plane.kubectl(
            "auth", "can-i", "list", "secrets", "--as=system:serviceaccount:default:default", check=False
        )
        assert allowed.stdout.strip() == "no"


@pytest.mark.cluster
@pytest.mark.usefixtures("_tools")
def test_control_plane_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import signal, sys\nfrom pathlib import Path\n"
        "from tests.harness.control_plane import ControlPlane\n"
        "ControlPlane.start(Path(sys.argv[1])); print('ready', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=paths.REPO, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        running = _identities(tmp_path)
        owner.kill()
    wait_for("its components to end", lambda: not any(i.alive() for i in running), timeout=20)


@pytest.mark.cluster
@pytest.mark.usefixtures("_tools")
def test_leftovers_of_an_earlier_run_are_stopped_first(tmp_path: Path) -> None:
    stale = daemon(tmp_path, "etcd")
    stale.start(["sleep", "600"])
    identity = stale.identity()
    assert identity is not None
    with ControlPlane.start(tmp_path):
        assert not identity.alive()
