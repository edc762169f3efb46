"""The node's programs: containerd, kubelet, kube-proxy and kube-router; their configuration, and images."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.harness import addons, cgroups, network, paths
from tests.harness.components import CLUSTER_DOMAIN, DNS_SERVICE, SERVICE_RANGE
from tests.harness.pki import Authority, Certificate
from tests.harness.proc import run

NAME = "flame-mcp-node"
POD_RANGE = "198.19.0.0/17"
_NODE_PODS = "198.19.0.0/24"
_CNI_NETWORK = "flame-mcp-dev"
_CNI_RESULTS = Path("/var/lib/cni/results")
_ID_LABEL = "flamemcp.dev/image-id"


def socket() -> Path:
    """Where containerd listens."""
    return paths.RUN / "containerd" / "containerd.sock"


def containerd_config(state: Path) -> str:
    """Everything below our own folders, and nothing that needs AppArmor, systemd or a lower OOM score."""
    return f"""\
version = 2
root = "{state}/containerd"
state = "{socket().parent}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{socket()}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{addons.reference("pause")}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "{paths.RUN}/runc"
"""


def cni_config(state: Path) -> dict[str, object]:
    """A bridge, addresses whose leases are below `state`, and host ports."""
    addresses = {
        "type": "host-local",
        "dataDir": str(state / "cni-leases"),
        "ranges": [[{"subnet": _NODE_PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = [{**bridge, "ipam": addresses}, ports]
    return {"cniVersion": "0.4.0", "name": _CNI_NETWORK, "plugins": plugins}


def kubelet_config(state: Path, authority: Authority, certificate: Path, key: Path) -> dict[str, object]:
    """Written for a small machine, possibly on cgroup v1, whose disk is shared with other work."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.PODS,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{socket()}",
        "enforceNodeAllocatable": ["pods"],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,  # images can't be pulled again
        "localStorageCapacityIsolation": False,
        "oomScoreAdj": 0,  # lowering it isn't allowed on every machine
        "podLogsDir": str(state / "pod-logs"),
        "resolvConf": str(state / "resolv.conf"),
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "volumePluginDir": str(state / "volume-plugins"),
    }


def write_config(state: Path, authority: Authority) -> None:
    """Writes the files that the node's programs read."""
    pair = authority.pair(
        "kubelet", Certificate(f"system:node:{NAME}", "system:nodes", [NAME, network.NODE_ADDRESS])
    )
    (state / "cni").mkdir(exist_ok=True)
    (state / "containerd.toml").write_text(containerd_config(state))
    (state / "cni" / "10-flame-mcp.conflist").write_text(json.dumps(cni_config(state)))
    (state / "kubelet.yaml").write_text(yaml.safe_dump(kubelet_config(state, authority, *pair)))
    (state / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # there is nothing outside to ask


def containerd(state: Path) -> list[str]:
    """The command line of containerd."""
    return ["containerd", f"--config={state}/containerd.toml", "--log-level=warn"]


def kubelet(program: Path, state: Path, kubeconfig: Path) -> list[str]:
    """The command line of kubelet."""
    return [
        str(program), f"--config={state}/kubelet.yaml", f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NAME}", f"--node-ip={network.NODE_ADDRESS}",
        f"--root-dir={state}/kubelet", f"--cert-dir={state}/kubelet-pki",
    ]  # fmt: skip


def kube_proxy(program: Path, kubeconfig: Path) -> list[str]:
    """The command line of kube-proxy; connection tracking keeps the machine's own limits."""
    return [
        str(program), f"--kubeconfig={kubeconfig}", f"--hostname-override={NAME}", "--proxy-mode=iptables",
        f"--cluster-cidr={POD_RANGE}", "--oom-score-adj=0", "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
    ]  # fmt: skip


def kube_router(program: Path, kubeconfig: Path) -> list[str]:
    """The command line of kube-router, which does nothing here but enforce NetworkPolicies."""
    return [
        str(program), f"--kubeconfig={kubeconfig}", f"--hostname-override={NAME}",
        "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
        f"--service-cluster-ip-range={SERVICE_RANGE}", "--health-port=0", "--metrics-port=0",
    ]  # fmt: skip


def policies_enforced() -> bool:
    """Whether what is sent on passes kube-router's rules; they go with the namespace."""
    rules = run(network.inside("iptables", "--wait", "-S", "FORWARD"), check=False).stdout
    return "-j KUBE-ROUTER-FORWARD" in rules


def _ctr(*args: str | Path) -> str:
    return run(["ctr", f"--address={socket()}", "--namespace=k8s.io", *args], timeout=600).stdout


def containerd_answers() -> bool:
    """Whether containerd serves requests."""
    argv = ["ctr", f"--address={socket()}", "--connect-timeout=1s", "version"]
    return run(argv, check=False, timeout=20).returncode == 0


def _images(reference: str) -> Iterator[tuple[str, str]]:
    """Names under which the node has an image (full, with a registry's) and their labels."""
    for line in _ctr("images", "list").splitlines()[1:]:
        name, labels = line.split()[0], line.split()[-1]
        if name == reference or name.endswith(f"/{reference}"):
            yield name, labels


def has_image(reference: str, image_id: str) -> bool:
    """Whether the node has this image with this very content."""
    return any(f"{_ID_LABEL}={image_id}" in labels.split(",") for _, labels in _images(reference))


def import_image(file: Path, reference: str, image_id: str) -> None:
    """Loads an archive as `docker save` writes it; does nothing when the node has that content already."""
    if has_image(reference, image_id):
        return
    _ctr("images", "import", "--snapshotter=overlayfs", file)
    for name, _ in _images(reference):
        _ctr("images", "label", name, f"{_ID_LABEL}={image_id}")


def traces() -> list[Path]:
    """Files of running pods in folders that all of the machine's containerds share."""
    found: list[Path] = []
    for bundle in (socket().parent / "io.containerd.runtime.v2.task").glob("*/*"):
        address = bundle / "address"
        if address.exists():
            found.append(Path(address.read_text().strip().removeprefix("unix://")))
        found += _CNI_RESULTS.glob(f"*-{bundle.name}-*")
    return found


def remove_traces(state: Path, files: list[Path]) -> None:
    """Removes what kubelet, containerd and CNI put into folders that belong to the machine."""
    links = [link for link in Path("/var/log/containers").glob("*.log") if link.is_symlink()]
    files = [*files, *(link for link in links if link.readlink().is_relative_to(state))]
    plugins = Path("/var/lib/kubelet/device-plugins")  # fixed in kubelet's code
    if plugins.exists() and list(plugins.parent.iterdir()) == [plugins]:  # else another kubelet lives here
        files += plugins.iterdir()
    for file in files:
        file.unlink(missing_ok=True)
    for folder in (plugins, plugins.parent, _CNI_RESULTS, _CNI_RESULTS.parent, Path("/var/log/containers")):
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
