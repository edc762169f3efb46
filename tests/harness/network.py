"""The node's own network namespace, joined to the host by a veth pair; it has no way off the machine."""

import os
from pathlib import Path

from tests.harness import paths
from tests.harness.errors import HarnessError
from tests.harness.proc import run

HOST_ADDRESS = "198.18.0.1"
NODE_ADDRESS = "198.18.0.2"
_PREFIX = 30
HOST_LINK = "flame-host"
NODE_LINK = "flame-node"


def namespace() -> Path:
    """The file that keeps the namespace open. Not below /run/netns: `ip netns` would leave a mount there."""
    return paths.RUN / "netns"


def is_mounted(path: Path) -> bool:
    """Whether something is mounted exactly there."""
    return str(path) in mounts()


def mounts() -> list[str]:
    """All mount points (proc(5), field 5 of mountinfo), in the order of mounting."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].encode().decode("unicode_escape") for line in lines]


def inside(*argv: str | Path) -> list[str]:
    """The command line that runs `argv` inside the namespace.

    Not `ip netns exec`: that mounts a new /sys, in which kubelet finds no control groups.
    """
    return ["nsenter", f"--net={namespace()}", "--", *(str(word) for word in argv)]


def exists() -> bool:
    """Whether the namespace and its link are there."""
    return is_mounted(namespace()) and Path("/sys/class/net", HOST_LINK).exists()


def create() -> None:
    """Makes the namespace, its link, addresses and settings; repairs what is missing of them.

    Raises:
        HarnessError: the addresses are in use by something else, or the kernel lacks network namespaces.
    """
    if not is_mounted(namespace()):
        _refuse_taken_addresses()
        namespace().parent.mkdir(parents=True, exist_ok=True)
        namespace().touch()
        run(["unshare", f"--net={namespace()}", "true"])
    if not Path("/sys/class/net", HOST_LINK).exists():
        # Made inside, with one end put where this process is: the namespace has no name that `ip` knows.
        peer = ["peer", "name", HOST_LINK, "netns", str(os.getpid())]
        run(inside("ip", "link", "add", NODE_LINK, "type", "veth", *peer))
    run(["ip", "address", "replace", f"{HOST_ADDRESS}/{_PREFIX}", "dev", HOST_LINK])
    run(["ip", "link", "set", HOST_LINK, "up"])
    for command in (
        ["ip", "address", "replace", f"{NODE_ADDRESS}/{_PREFIX}", "dev", NODE_LINK],
        ["ip", "link", "set", NODE_LINK, "up"],
        ["ip", "link", "set", "lo", "up"],
        ["sysctl", "-qw", "net.ipv4.ip_forward=1"],
    ):
        run(inside(*command))
    # For pods that reach themselves or a neighbour through a Service, and for policies between neighbours.
    run(["modprobe", "br_netfilter"], check=False)  # built in on some kernels
    run(inside("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"))


def _refuse_taken_addresses() -> None:
    route = run(["ip", "-o", "route", "show", "to", "match", NODE_ADDRESS], check=False).stdout
    taken = [line for line in route.splitlines() if not line.startswith("default") and HOST_LINK not in line]
    if taken:
        raise HarnessError(
            f"the node needs {HOST_ADDRESS}/{_PREFIX}, but this machine has a route there "
            f"({taken[0].strip()}): remove it, or set KUBECONFIG to another cluster"
        )


def remove() -> None:
    """Removes the link and the namespace; does nothing where they aren't there."""
    if Path("/sys/class/net", HOST_LINK).exists():
        run(["ip", "link", "delete", HOST_LINK])
    if is_mounted(namespace()):
        run(["umount", namespace()])
    namespace().unlink(missing_ok=True)
