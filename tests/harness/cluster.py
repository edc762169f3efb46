"""The cluster that tests and the demo run on: chooses its kind, and starts, finds and removes it."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from tests.harness import binaries, cgroups, images, kind, network, packages, paths, tools
from tests.harness import engine as engines
from tests.harness.console import say, step
from tests.harness.errors import HarnessError
from tests.harness.proc import run

Kind = Literal["kind", "binaries", "external"]


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers."""

    kind: Kind
    kubeconfig: Path

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - subprocess.run's name
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl against it; raises HarnessError when `check` is set and kubectl fails."""
        return self._run("kubectl", *args, text_input=input, check=check)

    def helm(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - subprocess.run's name
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs helm against it; raises HarnessError when `check` is set and helm fails."""
        return self._run("helm", *args, text_input=input, check=check)

    def load_image(self, ref: str) -> None:
        """Puts an image of the Docker engine's into the nodes; see `images.load`."""
        images.load(self, engines.ensure(), ref)

    def _run(
        self, program: str, *args: str, text_input: str | None, check: bool
    ) -> subprocess.CompletedProcess[str]:
        return run(self.command(program, *args), text_input=text_input, check=check, env=self.environment())

    def command(self, program: str, *args: str) -> list[str]:
        """The command line of `kubectl` or `helm`; to be run in `environment()`."""
        own_cache = [f"--cache-dir={paths.state()}/kubectl-cache"]
        options = own_cache if program == "kubectl" and self.kind != "external" else []
        return [str(tools.client(program)), *options, *args]

    def environment(self) -> dict[str, str]:
        """What makes kubectl and helm find it; an external cluster's KUBECONFIG may be a list."""
        if self.kind == "external":
            return {} if os.environ.get("KUBECONFIG") else {"KUBECONFIG": str(self.kubeconfig)}
        return {"KUBECONFIG": str(self.kubeconfig)}


def choose(
    environment: Mapping[str, str],
    own_kubeconfig: Path,
    running: Kind | None,
    kind_possible: Callable[[], bool],
) -> Kind:
    """Which kind of cluster to use: forced, the user's, the one that is there already, kind, binaries.

    Raises:
        HarnessError: FLAME_CLUSTER has an unknown value, or asks for another kind than the one that runs.
    """
    forced = environment.get("FLAME_CLUSTER")
    if forced and forced not in get_args(Kind):
        raise HarnessError(f"FLAME_CLUSTER={forced} is unknown: use one of {', '.join(get_args(Kind))}")
    if forced in {"kind", "binaries"} and running not in {None, forced}:
        raise HarnessError(f"FLAME_CLUSTER={forced}, but a cluster of kind {running} is up: run `down` first")
    if forced:
        return cast(Kind, forced)
    if environment.get("KUBECONFIG") not in {None, "", str(own_kubeconfig)}:
        return "external"
    if running:
        return running
    return "kind" if kind_possible() else "binaries"


def _choose() -> Kind:
    return choose(os.environ, paths.kubeconfig(), recorded(), lambda: kind.possible(engines.users()))


def _record() -> Path:
    return paths.state() / "cluster"


def recorded() -> Kind | None:
    """The kind of the cluster that `up` made and `down` hasn't removed yet."""
    try:
        found = _record().read_text().strip()
    except FileNotFoundError:
        return None
    return cast(Kind, found) if found in {"kind", "binaries"} else None


def up() -> Cluster:
    """A cluster whose node is Ready and whose DNS and metrics work; what is dead is repaired.

    Raises:
        HarnessError: it can't be had; says what to do.
    """
    chosen = _choose()
    if chosen == "external":
        return _external()
    with tools.locked("cluster"):
        if chosen == "binaries" and not binaries.problems():
            return _own(chosen)
        say(f"Cluster: {_REASONS[chosen]}")
        if chosen == "binaries":
            packages.require_root("a cluster from binaries")
        paths.state().mkdir(parents=True, exist_ok=True)
        _record().write_text(f"{chosen}\n")
        {"kind": kind.up, "binaries": binaries.up}[chosen]()
    return _own(chosen)


_REASONS = {
    "kind": "kind, in Docker",
    "binaries": "one node from binaries, in a network namespace of its own",
}


def _own(chosen: Kind) -> Cluster:
    return Cluster(chosen, paths.kubeconfig())


def _external() -> Cluster:
    first = next(filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep)), None)
    cluster = Cluster("external", Path(first) if first else Path.home() / ".kube" / "config")
    if not cluster.kubeconfig.exists():
        raise HarnessError(
            f"{cluster.kubeconfig} is not there: set KUBECONFIG to a cluster's file, or unset it"
        )
    answer = cluster.kubectl("get", "--raw=/readyz", "--request-timeout=20s", check=False)
    if answer.returncode != 0:
        raise HarnessError(
            f"the cluster of {cluster.kubeconfig} does not answer: start it, or unset KUBECONFIG "
            f"to get one from the harness\n{answer.stderr.strip()}"
        )
    return cluster


def current() -> Cluster:
    """The cluster that is up, without starting anything.

    Raises:
        HarnessError: there is none, or it is broken.
    """
    chosen = _choose() if recorded() or os.environ.get("KUBECONFIG") else None
    if chosen == "external":
        return _external()
    if chosen is None:
        raise HarnessError("no cluster is up: run `up` first")
    return _own(chosen)


def down() -> bool:
    """Removes the harness's cluster and Docker engine; never touches another one.

    Returns:
        Whether there was anything to remove.
    """
    with tools.locked("cluster"):
        there = recorded() is not None or binaries.is_there() or engines.running() is not None
        if recorded() == "kind":
            kind.down()
        if there or paths.RUN.exists():
            packages.require_root("removing the cluster")
            with step("stopping the Docker engine"):
                engines.stop()
            with step("removing the cluster"):
                binaries.down()
        if left := leftovers():
            raise HarnessError(f"could not remove {', '.join(left)}: end what uses it and run `down` again")
    return there


@dataclass(frozen=True)
class Status:
    """What runs; `problems` is empty when the cluster is whole."""

    kind: Kind | None
    problems: list[str]
    version: str
    node: str
    kubeconfig: Path | None
    engine: str

    @property
    def healthy(self) -> bool:
        return self.kind is not None and not self.problems


def status() -> Status:
    """Looks at what runs and changes nothing."""
    engine = engines.running() or engines.users()
    engine_text = "none" if engine is None else engine.host or "the user's own"
    try:
        cluster = current()
    except HarnessError as error:
        return Status(recorded(), [str(error)], "", "", None, engine_text)
    problems = binaries.problems() if cluster.kind == "binaries" else []
    version, node_name = _version_and_node(cluster)
    if not version:
        problems = problems or ["the API server does not answer: run `up` again"]
    return Status(cluster.kind, problems, version, node_name, cluster.kubeconfig, engine_text)


def _version_and_node(cluster: Cluster) -> tuple[str, str]:
    template = "jsonpath={range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion}{'\\n'}{end}"
    found = cluster.kubectl("get", "nodes", "-o", template, "--request-timeout=5s", check=False)
    nodes = [line.split() for line in found.stdout.splitlines() if line.strip()]
    return (nodes[0][1], " ".join(node[0] for node in nodes)) if nodes else ("", "")


def leftovers() -> list[str]:
    """What of the harness's own cluster and engine is on this machine; empty after `down`."""
    found = [f"process {identity.pid}" for identity in cgroups.processes()]
    ours = (paths.state(), paths.RUN, engines.data_root())
    found += [
        f"mount {point}" for point in network.mounts() if any(Path(point).is_relative_to(f) for f in ours)
    ]
    return found + ([f"link {network.HOST_LINK}"] if network.exists() else [])
