"""Debian packages for the commands that the node, the Docker engine and the tests of the page need."""

import os
import shutil
from pathlib import Path

from tests.harness.console import step
from tests.harness.errors import HarnessError
from tests.harness.proc import environment, run

# Command or file -> package.
_PACKAGES = {
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "chromium": "chromium",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "debootstrap": "debootstrap",
    "docker": "docker.io",
    "dockerd": "docker.io",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
    "modprobe": "kmod",
    "nsenter": "util-linux",
    "runc": "runc",
    "sysctl": "procps",
}
NODE = (
    "containerd", "runc", "/usr/lib/cni/bridge", "iptables", "ipset", "conntrack", "ip", "ethtool", "nsenter",
    "sysctl", "modprobe",
)  # fmt: skip
ENGINE = ("dockerd", "docker", "iptables")
BASE_IMAGE = ("debootstrap",)
BROWSER = ("chromium",)

_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


def require_root(purpose: str) -> None:
    """Raises a HarnessError unless this process runs as root."""
    if os.geteuid() != 0:
        raise HarnessError(f"{purpose} needs root: run as root, or set KUBECONFIG to a cluster of your own")


def missing(commands: tuple[str, ...]) -> list[str]:
    """The packages of those commands that aren't there, each once, sorted."""
    path = environment()["PATH"]
    return sorted({_PACKAGES[command] for command in commands if not _is_there(command, path)})


def _is_there(command: str, path: str) -> bool:
    return Path(command).exists() if command.startswith("/") else shutil.which(command, path=path) is not None


def require(commands: tuple[str, ...]) -> None:
    """Installs the packages of those commands that are missing.

    Raises:
        HarnessError: not root, not Debian, or apt failed.
    """
    packages = missing(commands)
    if not packages:
        return
    names = " ".join(packages)
    require_root(f"installing {names}")
    if shutil.which("apt-get") is None:
        raise HarnessError(f"this machine has no apt-get: install these (Debian's names) by hand: {names}")
    with step(f"apt-get install {names}"):
        run(["apt-get", "update", "-q"], env=_ENVIRONMENT, timeout=300)
        options = ["-qy", "--no-install-recommends", "-oDPkg::Lock::Timeout=300"]  # another apt-get may run
        run(["apt-get", "install", *options, *packages], env=_ENVIRONMENT, timeout=900)
    if still := missing(commands):
        raise HarnessError(
            f"apt-get installed {names}, but the commands of {' '.join(still)} are not on PATH"
        )
