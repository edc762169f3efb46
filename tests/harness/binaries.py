"""A one-node cluster from binaries, in a network namespace of its own."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.harness import addons, cgroups, components, network, node, packages, paths, tools
from tests.harness.api import Api
from tests.harness.components import Endpoints
from tests.harness.console import step
from tests.harness.errors import HarnessError
from tests.harness.pki import Authority
from tests.harness.proc import Daemon, run, wait_for

ENDPOINTS = Endpoints(network.NODE_ADDRESS, api_port=6443, etcd_port=2379, etcd_peer_port=2380)
_CONTROL = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_NODE = ("containerd", "kube-proxy", "kubelet", "kube-router")
_DISK = "50Gi"
_ADDONS = ("coredns", "metrics-server")


def daemon(name: str) -> Daemon:
    """A component of the cluster."""
    return Daemon(name, paths.state(), paths.logs())


def api() -> Api:
    """The cluster's API server."""
    return Api(ENDPOINTS, paths.state() / "pki")


def problems() -> list[str]:
    """What keeps the cluster from being whole; empty when all is well. Takes some tens of milliseconds."""
    if not network.exists():
        return ["its network is not there"]
    dead = [f"{name} is not running" for name in (*_CONTROL, *_NODE) if daemon(name).identity() is None]
    if dead:
        return dead
    client = api()
    if not client.ready():
        return ["the API server is not ready"]
    found = [] if _node_ready(client) and _has_disk(client) else ["the node is not Ready"]
    return found + [f"{name} is not available" for name in _ADDONS if not _available(client, name)]


def _condition(found: dict[str, Any], kind: str) -> bool:
    conditions = found.get("status", {}).get("conditions", [])
    return any(item["type"] == kind and item["status"] == "True" for item in conditions)


def _node_ready(client: Api) -> bool:
    return _condition(client.get_object(f"/api/v1/nodes/{node.NAME}"), "Ready")


def _has_disk(client: Api) -> bool:
    found = client.get_object(f"/api/v1/nodes/{node.NAME}").get("status", {})
    return "ephemeral-storage" in found.get("allocatable", {})


def _available(client: Api, name: str) -> bool:
    """For metrics-server also that the API server reaches it."""
    deployment = client.get_object(f"/apis/apps/v1/namespaces/kube-system/deployments/{name}")
    if name != "metrics-server":
        return _condition(deployment, "Available")
    service = client.get_object("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io")
    return _condition(deployment, "Available") and _condition(service, "Available")


def up() -> None:
    """Starts what isn't running, and returns when the cluster is whole.

    Raises:
        HarnessError: not root, a package or tool can't be had, or a component died.
    """
    packages.require_root("a cluster from binaries")
    packages.require(packages.NODE)
    tools.ensure(*tools.CLUSTER)
    state = paths.state()
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o711)  # pods' users must get through to their volumes
    if not network.exists():
        _stop_daemons()  # what still runs, pods included, is in a namespace that is gone
        cgroups.kill_pods()
    with step("network namespace and control groups"):
        network.create()
        cgroups.create()
    authority = Authority(state / "pki")
    with step(f"control plane {tools.family_of('kube-apiserver').version}"):
        _start_control_plane(authority)
    with step("containerd with the images of pause, CoreDNS and metrics-server"):
        _start_containerd(authority)
    with step(f"node {node.NAME} Ready"):
        _start_node(authority)
    with step(f"NetworkPolicies enforced by kube-router {tools.family_of('kube-router').version}"):
        _start_policies()
    with step("CoreDNS and metrics-server available"):
        _start_addons()


def _ensure(name: str, argv: Sequence[str | Path]) -> None:
    """Starts a component inside the namespace and our control group, unless it runs."""
    if daemon(name).identity() is None:
        cgroups.adopt(daemon(name).start(network.inside(*argv)))


def _start_control_plane(authority: Authority) -> None:
    state, client = paths.state(), api()
    components.admin(authority, paths.kubeconfig(), ENDPOINTS)
    _ensure("etcd", components.etcd(tools.binary("etcd"), state / "etcd", ENDPOINTS))
    _ensure(
        "kube-apiserver",
        [
            *components.api_server(tools.binary("kube-apiserver"), authority, ENDPOINTS),
            "--endpoint-reconciler-type=lease",
        ],
    )
    needs = [daemon(name) for name in ("etcd", "kube-apiserver")]
    wait_for("the API server to be ready", client.ready, timeout=120, needs=needs)
    manager = components.component(authority, "kube-controller-manager", ENDPOINTS, state)
    pods = [f"--cluster-cidr={node.POD_RANGE}", "--allocate-node-cidrs=true"]
    program = tools.binary("kube-controller-manager")
    _ensure("kube-controller-manager", [*components.controller_manager(program, authority, manager), *pods])
    scheduler = components.component(authority, "kube-scheduler", ENDPOINTS, state)
    flags = [f"--kubeconfig={scheduler}", "--leader-elect=false", "--secure-port=0"]
    _ensure("kube-scheduler", [tools.binary("kube-scheduler"), *flags])


def _start_containerd(authority: Authority) -> None:
    node.write_config(paths.state(), authority)
    _ensure("containerd", node.containerd(paths.state()))
    wait_for("containerd to answer", node.containerd_answers, timeout=60, needs=[daemon("containerd")])
    for program in ("pause", *_ADDONS):
        addons.load_image(program, node.import_image)


def _start_node(authority: Authority) -> None:
    state = paths.state()
    pair = state / "pki" / "kubelet.crt", state / "pki" / "kubelet.key"
    kubeconfig = authority.kubeconfig(state / "kubelet.kubeconfig", ENDPOINTS.server, *pair)
    proxy = components.component(authority, "kube-proxy", ENDPOINTS, state)
    _ensure("kubelet", node.kubelet(tools.binary("kubelet"), state, kubeconfig))
    _ensure("kube-proxy", node.kube_proxy(tools.binary("kube-proxy"), proxy))
    client = api()
    needs = [daemon(name) for name in (*_CONTROL, "containerd", "kube-proxy", "kubelet")]
    wait_for("the node to be Ready", lambda: _node_ready(client), timeout=120, needs=needs)
    # Without isolation of local storage kubelet reports none of it, and pods that request some never start.
    disk = json.dumps(
        {"status": {what: {"ephemeral-storage": _DISK} for what in ("capacity", "allocatable")}}
    )
    kubectl("patch", "node", node.NAME, "--subresource=status", "--type=merge", f"--patch={disk}")


def _start_policies() -> None:
    # As the admin: it only reads, but of nearly everything.
    _ensure("kube-router", node.kube_router(tools.binary("kube-router"), paths.kubeconfig()))
    needs = [daemon("kube-router")]
    wait_for("NetworkPolicies to be enforced", node.policies_enforced, timeout=60, needs=needs)


def _start_addons() -> None:
    for name in _ADDONS:
        kubectl(*addons.APPLY, text_input=addons.manifest(name))
    client = api()
    needs = [daemon(name) for name in (*_CONTROL, *_NODE)]
    try:
        wait_for(
            "CoreDNS and metrics-server to be available",
            lambda: all(_available(client, name) for name in _ADDONS),
            timeout=180,
            needs=needs,
        )
    except HarnessError as error:
        said = kubectl("-n", "kube-system", "get", "pods,events", check=False).stdout
        raise HarnessError(f"{error}\n{said}") from error


def kubectl(
    *args: str, text_input: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs kubectl as the cluster's admin."""
    options = f"--kubeconfig={paths.kubeconfig()}", f"--cache-dir={paths.state()}/kubectl-cache"
    return run([tools.binary("kubectl"), *options, *args], text_input=text_input, check=check)


def _stop_daemons() -> None:
    """Kills them: their data is about to be thrown away, and a gentle end takes the API server 25 s."""
    for name in reversed((*_CONTROL, *_NODE)):
        daemon(name).stop(grace=0)


def down() -> None:
    """Removes processes, mounts, network, control groups and state; only logs stay."""
    _stop_daemons()
    traces = node.traces()
    cgroups.remove()
    unmount_below(paths.state(), paths.RUN)
    network.remove()
    node.remove_traces(paths.state(), traces)
    shutil.rmtree(paths.RUN, ignore_errors=True)
    remove_state()


def unmount_below(*folders: Path) -> None:
    """Unmounts everything below the folders but the namespace, which is `network`'s."""
    for point in reversed(network.mounts()):
        inside = any(Path(point).is_relative_to(folder) for folder in folders)
        if inside and Path(point) != network.namespace():
            run(["umount", point])


def remove_state() -> None:
    """Removes the state folder's content except for the logs."""
    if not paths.state().exists():
        return
    for entry in paths.state().iterdir():
        if entry != paths.logs():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def is_there() -> bool:
    """Whether anything of the cluster is left, running or not."""
    return network.exists() or any(daemon(name).identity() for name in (*_CONTROL, *_NODE))
