"""One control group that holds every process of the harness's node and Docker engine, on cgroup v1 and v2.

Whatever happens to pid files, the group says which processes are ours.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from tests.harness.errors import HarnessError
from tests.harness.proc import Identity, stop_process

NAME = "flame-mcp-dev"
PODS = f"/{NAME}/pods"  # kubelet's root: must hold no processes itself on v2
ENGINE = f"/{NAME}/engine"

_MOUNT = Path("/sys/fs/cgroup")


def _is_v2() -> bool:
    return (_MOUNT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    """The mounted hierarchies: the one of v2, or a folder per controller (and one of systemd's) of v1."""
    if _is_v2():
        return [_MOUNT]
    return sorted(entry for entry in _MOUNT.iterdir() if entry.is_dir() and not entry.is_symlink())


def create() -> None:
    """Makes the groups; does nothing where they are there."""
    for hierarchy in _hierarchies():
        _enable_controllers(hierarchy)
        for group in (hierarchy / NAME, hierarchy / NAME / "daemons", hierarchy / NAME / "pods"):
            group.mkdir(exist_ok=True)
            _inherit_cpuset(group)
            if group.name != "daemons":
                _enable_controllers(group)


def _enable_controllers(group: Path) -> None:
    """On v2, children get only the controllers that their parent passes on."""
    control = group / "cgroup.subtree_control"
    if _is_v2():
        for controller in (group / "cgroup.controllers").read_text().split():
            control.write_text(f"+{controller}")


def _inherit_cpuset(group: Path) -> None:
    """On v1, a new cpuset is empty and nothing can run in it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = group / name
        if not _is_v2() and file.exists() and not file.read_text().strip():
            file.write_text((group.parent / name).read_text())


def _tracker() -> Path:
    """The hierarchy whose group tells what is ours."""
    return _MOUNT if _is_v2() else _MOUNT / "pids"


def adopt(pid: int) -> None:
    """Puts a daemon into the group; its children follow."""
    (_tracker() / NAME / "daemons" / "cgroup.procs").write_text(str(pid))


def processes(group: str = NAME) -> Iterator[Identity]:
    """Every process in a group and below; of ours, if no other is named."""
    for file in sorted((_tracker() / group).glob("**/cgroup.procs")):
        try:
            pids = file.read_text().split()
        except OSError:
            continue  # the group went away meanwhile
        for pid in pids:
            if (identity := Identity.of(int(pid))) is not None:
                yield identity


def kill_pods() -> None:
    """Kills the pods' processes; kubelet makes new pods of them."""
    for identity in processes(PODS.removeprefix("/")):
        stop_process(identity, grace=0)


def remove(timeout: float = 30.0) -> None:
    """Kills what is left in the group and removes it.

    Raises:
        HarnessError: a process can't be killed.
    """
    deadline = time.monotonic() + timeout
    while groups := [hierarchy / NAME for hierarchy in _hierarchies() if (hierarchy / NAME).exists()]:
        for identity in processes():
            stop_process(identity, grace=0)
        for group in groups:
            _remove_tree(group)
        if time.monotonic() > deadline:
            left = " ".join(str(identity.pid) for identity in processes())
            raise HarnessError(
                f"the control groups {NAME} can't be removed; processes in them: {left or 'none'}"
            )
        time.sleep(0.05)


def _remove_tree(group: Path) -> None:
    folders = sorted((folder for folder in group.glob("**/") if folder.is_dir()), reverse=True)
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return  # a process in it is still ending
