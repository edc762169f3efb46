"""The harness itself: its decisions, and a control plane that leaves nothing behind."""

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness import archive, components, images, kind, node, packages, paths, tools
from tests.harness import cluster as clusters
from tests.harness.components import Endpoints
from tests.harness.console import step
from tests.harness.control_plane import ControlPlane, daemon
from tests.harness.errors import HarnessError
from tests.harness.pki import Authority
from tests.harness.proc import Daemon, Identity, run, stop_process, wait_for

OWN = Path("/state/kubeconfig")


# --- which cluster ---


@pytest.mark.parametrize(
    ("environment", "running", "kind_possible", "expected"),
    [
        ({}, None, True, "kind"),
        ({}, None, False, "binaries"),
        ({}, "binaries", True, "binaries"),
        ({}, "kind", False, "kind"),
        ({"KUBECONFIG": "/home/me/config"}, "binaries", True, "external"),
        ({"KUBECONFIG": ""}, None, False, "binaries"),
        ({"KUBECONFIG": str(OWN)}, "binaries", False, "binaries"),
        ({"FLAME_CLUSTER": "binaries"}, None, True, "binaries"),
        ({"FLAME_CLUSTER": "binaries", "KUBECONFIG": "/home/me/config"}, None, True, "binaries"),
        ({"FLAME_CLUSTER": "external"}, "binaries", True, "external"),
    ],
)
def test_choice_of_cluster(
    environment: dict[str, str], running: clusters.Kind | None, kind_possible: bool, expected: str
) -> None:
    assert clusters.choose(environment, OWN, running, lambda: kind_possible) == expected


def test_kind_is_not_asked_for_when_the_answer_does_not_matter() -> None:
    def asked() -> bool:
        raise AssertionError

    assert clusters.choose({"FLAME_CLUSTER": "binaries"}, OWN, None, asked) == "binaries"
    assert clusters.choose({}, OWN, "binaries", asked) == "binaries"


@pytest.mark.parametrize(
    ("environment", "running", "hint"),
    [
        ({"FLAME_CLUSTER": "minikube"}, None, "use one of kind, binaries, external"),
        ({"FLAME_CLUSTER": "kind"}, "binaries", "run `down` first"),
    ],
)
def test_impossible_choices_say_what_to_do(
    environment: dict[str, str], running: clusters.Kind | None, hint: str
) -> None:
    with pytest.raises(HarnessError, match=hint):
        clusters.choose(environment, OWN, running, lambda: True)


def test_external_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(HarnessError, match="set KUBECONFIG to a cluster's file, or unset it"):
        clusters.up()


def test_images_are_not_loaded_into_a_foreign_cluster() -> None:
    class Engine:
        def image_id(self, ref: str) -> str:
            return f"sha256:{ref}"

    with pytest.raises(HarnessError, match="push it to a registry"):
        images.load(clusters.Cluster("external", OWN), Engine(), "server:dev")  # type: ignore[arg-type]  # a double


# --- processes ---


def test_identity_survives_a_round_trip_and_knows_other_processes() -> None:
    own = Identity.of(os.getpid())
    assert own is not None
    assert Identity.parse(str(own)) == own
    assert own.alive()
    assert not Identity(own.pid, own.started + 1, own.boot).alive()
    assert not Identity(own.pid, own.started, "another-boot").alive()
    assert Identity.parse("12") is None


def test_a_recycled_pid_is_not_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        known = Identity.of(bystander.pid)
        assert known is not None
        earlier = Identity(known.pid, known.started - 1, known.boot)
        (tmp_path / "etcd.pid").write_text(str(earlier))
        Daemon("etcd", tmp_path, tmp_path).stop(grace=0)
        stop_process(earlier, grace=0)
        assert bystander.poll() is None
        assert not (tmp_path / "etcd.pid").exists()
        bystander.kill()


def test_daemon_is_found_again_and_stopped_although_it_ignores_sigterm(tmp_path: Path) -> None:
    deaf = Daemon("deaf", tmp_path, tmp_path / "log")
    deaf.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"])
    wait_for("its trap to be set", lambda: "ready" in deaf.log.read_text(), timeout=10, needs=[deaf])
    again = Daemon("deaf", tmp_path, tmp_path / "log")
    identity = again.identity()
    assert identity is not None
    again.stop(grace=0.2)
    assert not identity.alive()
    assert deaf.identity() is None


def test_death_of_a_needed_daemon_is_reported_with_its_log(tmp_path: Path) -> None:
    brief = Daemon("brief", tmp_path, tmp_path / "log")
    brief.start(["sh", "-c", "echo 'the disk is full' >&2; sleep 0.2; exit 3"])
    with pytest.raises(HarnessError, match=r"(?s)brief died:.*the disk is full.*whole log: .*brief\.log"):
        wait_for("nothing", lambda: False, timeout=20, needs=[brief])


def test_failed_commands_are_explained() -> None:
    with pytest.raises(HarnessError, match=r"(?s)exit code 4:.*no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 4"])
    with pytest.raises(HarnessError, match="did not end within"):
        run(["sleep", "60"], timeout=0.1)
    with pytest.raises(HarnessError, match="was not found: install it"):
        run(["no-such-command-here"])


def test_steps_are_readable_without_a_terminal_and_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    with step("first"):
        pass
    with pytest.raises(HarnessError), step("second"):
        raise HarnessError
    output.flush()
    lines = output.buffer.getvalue().decode().splitlines()
    assert [line.split("(")[0] for line in lines] == ["  ok first ", "  FAILED second "]


# --- tools, packages, images ---


def _family(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tools.Family:
    monkeypatch.setattr(paths, "TOOLS", folder.parent)
    (folder / "go.mod").write_text("module x\n\nrequire (\n\texample.org/tool v1.2.3 // indirect\n)\n")
    (folder / "go.sum").write_text("a\n")
    return tools.Family(folder.name, "example.org/tool", {"tool": tools.Binary("example.org/tool", 1)})


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_cache_key_depends_on_every_input(
    changed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    family = _family(tmp_path, monkeypatch)
    before = family.cache_key()
    assert before == family.cache_key()
    assert before.startswith(f"{tmp_path.name}-v1.2.3-")
    file = tmp_path / changed
    file.write_text((file.read_text() if file.exists() else "") + "// more\n")
    assert family.cache_key() != before


def test_every_family_has_a_version_and_kubernetes_is_stamped_with_it() -> None:
    versions = {family.name: family.version for family in tools.FAMILIES}
    assert all(version.startswith("v") for version in versions.values())
    assert f"gitVersion={versions['kubernetes']} " in tools.family_of("kubelet").linker_flags
    assert "gitVersion" not in tools.family_of("helm").linker_flags


def test_missing_go_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLAME_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match=r"building pause needs Go: install .*pause/go\.mod"):
        tools.ensure("pause")


def test_build_is_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLAME_CACHE", str(tmp_path))
    program = tools.binary("pause")
    built = program.stat().st_mtime_ns
    assert program.is_relative_to(tmp_path)
    assert tools.binary("pause").stat().st_mtime_ns == built
    assert [entry.name for entry in program.parent.iterdir()] == ["pause"]


def test_packages_of_missing_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"ip": "/usr/sbin/ip"}
    monkeypatch.setattr("shutil.which", lambda name, path=None: there.get(name) if path else None)
    assert packages.missing(("ip", "runc", "dockerd", "docker")) == ["docker.io", "runc"]


def test_scratch_image_is_loadable_and_reproducible(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    image_id = archive.scratch_image(program, "localhost/program:1", tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as image:
        members = {member.name: image.extractfile(member) for member in image.getmembers()}
        content = {name: file.read() for name, file in members.items() if file is not None}
    (manifest,) = json.loads(content["manifest.json"])
    config = json.loads(content[manifest["Config"]])
    assert manifest["RepoTags"] == ["localhost/program:1"]
    assert image_id == f"sha256:{manifest['Config'].removesuffix('.json')}"
    assert config["config"]["User"] == "65532:65532"
    with tarfile.open(fileobj=io.BytesIO(content[manifest["Layers"][0]])) as layer:
        (entry,) = layer.getmembers()
    assert (entry.name, entry.mode, entry.size) == ("program", 0o755, 4)
    assert archive.scratch_image(program, "localhost/program:1", tmp_path / "again.tar") == image_id
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "image.tar").read_bytes()


@pytest.mark.parametrize(
    ("ref", "suite"),
    [
        ("python:3.13-slim", "trixie"),
        ("python:3.13.9-slim-trixie", "trixie"),
        ("python:3.11-slim", "bookworm"),
    ],
)
def test_stand_ins_have_the_python_of_the_official_image(ref: str, suite: str) -> None:
    assert images.suite_of(ref) == suite
    assert images.base_key(ref).startswith(f"{suite}-minbase-")


@pytest.mark.parametrize("ref", ["python:3.9-slim", "golang:1.26", "python:3.13"])
def test_other_base_images_have_no_stand_in(ref: str) -> None:
    with pytest.raises(HarnessError, match="give this machine a registry"):
        images.suite_of(ref)


def test_stand_in_looks_like_the_official_image(tmp_path: Path) -> None:
    marker = tmp_path / "usr/lib/python3.13/EXTERNALLY-MANAGED"
    for folder in ("usr/local/bin", "usr/lib/python3.13", "etc/ssl/certs", "usr/share/doc/bash"):
        (tmp_path / folder).mkdir(parents=True)
    marker.touch()
    images._finish(tmp_path, "python:3.13-slim")
    assert not marker.exists()
    assert not (tmp_path / "usr/share/doc/bash").exists()
    links = {link.name: str(link.readlink()) for link in (tmp_path / "usr/local/bin").iterdir()}
    assert links == {
        "python": "/usr/bin/python3.13",
        "python3": "/usr/bin/python3.13",
        "pip": "/usr/bin/pip3",
    }


def test_kind_node_image_comes_from_its_source() -> None:
    assert kind.image_in('package defaults\n\nconst Image = "node:v1@sha256:ab"\n') == "node:v1@sha256:ab"
    with pytest.raises(HarnessError, match="FLAME_CLUSTER=binaries"):
        kind.image_in("package defaults\n")


def test_node_keeps_to_its_own_folders(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    config = node.kubelet_config(tmp_path, authority, tmp_path / "crt", tmp_path / "key")
    for key in ("podLogsDir", "resolvConf", "volumePluginDir"):
        assert str(config[key]).startswith(str(tmp_path))
    assert f'root = "{tmp_path}/containerd"' in node.containerd_config(tmp_path)


# --- keys ---


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


# --- a control plane ---

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
def test_what_an_earlier_run_left_is_stopped_first(tmp_path: Path) -> None:
    stale = daemon(tmp_path, "etcd")
    stale.start(["sleep", "600"])
    identity = stale.identity()
    assert identity is not None
    with ControlPlane.start(tmp_path):
        assert not identity.alive()
