"""Programs built from Go modules: one folder with a go.mod per family, because their dependencies conflict.

Each binary is built once and kept in the cache under its version and a hash of everything that goes into it.
"""

import fcntl
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import paths
from tests.harness.console import say, step
from tests.harness.errors import HarnessError
from tests.harness.proc import run

_STAMP = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Binary:
    """A program: its package, and the seconds that its first build took on 2 cores (to set expectations)."""

    package: str
    seconds: int


@dataclass(frozen=True)
class Family:
    """Programs that share a go.mod; `module` is the one whose version names the family's."""

    name: str
    module: str
    binaries: dict[str, Binary]
    stamped: bool = False
    tags: str = ""
    """Go's build tags, which leave out what is never used here."""
    stamps: tuple[str, ...] = ()
    """More variables that a release gets from its own build scripts, `NAME=VALUE`."""

    @property
    def folder(self) -> Path:
        return paths.TOOLS / self.name

    @property
    def version(self) -> str:
        """The version that go.mod pins; `v0` for a family of our own code.

        Raises:
            HarnessError: go.mod doesn't require the module.
        """
        text = (self.folder / "go.mod").read_text()
        if f"module {self.module}\n" in text:
            return "v0"
        found = re.search(rf"^(?:require)?\s+{re.escape(self.module)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise HarnessError(f"{self.folder}/go.mod requires no {self.module}: run `go get -tool` there")
        return found[1]

    @property
    def linker_flags(self) -> str:
        """No symbol tables, and for Kubernetes the version that it would get from its own build scripts."""
        flags = "-s -w"
        if self.stamped:
            major, minor, _ = self.version.removeprefix("v").split(".", 2)
            stamps = {
                "gitVersion": self.version,
                "gitMajor": major,
                "gitMinor": minor,
                "gitTreeState": "clean",
            }
            flags += "".join(f" -X {_STAMP}.{key}={value}" for key, value in stamps.items())
        return flags + "".join(f" -X {stamp}" for stamp in self.stamps)

    @property
    def _tag_flags(self) -> tuple[str, ...]:
        return ("-tags", self.tags) if self.tags else ()

    def command(self, binary: str, target: Path) -> tuple[str | Path, ...]:
        """What builds one of the programs, in the family's folder."""
        flags = (*self._tag_flags, "-ldflags", self.linker_flags)
        return (*_BUILD, *flags, "-o", target, self.binaries[binary].package)

    def cache_key(self) -> str:
        """`NAME-VERSION-HASH` over the module files, our own source and the flags."""
        digest = hashlib.sha256(" ".join((*_BUILD, *self._tag_flags, self.linker_flags)).encode())
        for name in ("go.mod", "go.sum", "main.go"):
            file = self.folder / name
            digest.update(b"\0" + (file.read_bytes() if file.exists() else b""))
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"

    def path(self, binary: str) -> Path:
        """Where the built program is, or will be."""
        return paths.cache() / "tools" / self.cache_key() / binary


_BUILD = ("go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly")
_KUBERNETES = "k8s.io/kubernetes/cmd/"

FAMILIES = (
    Family("etcd", "go.etcd.io/etcd/server/v3", {"etcd": Binary("go.etcd.io/etcd/server/v3", 20)}),
    Family(
        "kubernetes",
        "k8s.io/kubernetes",
        {
            "kube-apiserver": Binary(f"{_KUBERNETES}kube-apiserver", 350),
            "kube-controller-manager": Binary(f"{_KUBERNETES}kube-controller-manager", 140),
            "kubectl": Binary(f"{_KUBERNETES}kubectl", 25),
            "kube-scheduler": Binary(f"{_KUBERNETES}kube-scheduler", 25),
            "kubelet": Binary(f"{_KUBERNETES}kubelet", 30),
            "kube-proxy": Binary(f"{_KUBERNETES}kube-proxy", 15),
        },
        stamped=True,
    ),
    Family("helm", "helm.sh/helm/v4", {"helm": Binary("helm.sh/helm/v4/cmd/helm", 180)}),
    Family("coredns", "github.com/coredns/coredns", {"coredns": Binary(".", 60)}),
    Family(
        "metrics-server",
        "sigs.k8s.io/metrics-server",
        {"metrics-server": Binary("sigs.k8s.io/metrics-server/cmd/metrics-server", 140)},
    ),
    Family(
        "kube-router",
        "github.com/cloudnativelabs/kube-router/v2",
        {"kube-router": Binary("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", 180)},
    ),
    Family("pause", "flamemcp.dev/tools/pause", {"pause": Binary(".", 5)}),
    Family(
        "helm3",
        "helm.sh/helm/v3",
        {"helm3": Binary("helm.sh/helm/v3/cmd/helm", 70)},
        # The Kubernetes that `helm template` takes for the cluster's: that of its libraries.
        stamps=("helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",),
    ),
    Family(
        "helm-unittest",
        "github.com/helm-unittest/helm-unittest",
        {"helm-unittest": Binary("github.com/helm-unittest/helm-unittest/cmd/helm-unittest", 35)},
    ),
    Family(
        "prometheus",
        "github.com/prometheus/prometheus",
        {"promtool": Binary("github.com/prometheus/prometheus/cmd/promtool", 90)},
        tags="remove_all_sd",
    ),
    Family(
        "kube-score",
        "github.com/zegl/kube-score",
        {"kube-score": Binary("github.com/zegl/kube-score/cmd/kube-score", 25)},
    ),
    Family(
        "actionlint",
        "github.com/rhysd/actionlint",
        {"actionlint": Binary("github.com/rhysd/actionlint/cmd/actionlint", 5)},
    ),
    Family(
        "contour",
        "github.com/projectcontour/contour",
        {"contour": Binary("github.com/projectcontour/contour/cmd/contour", 240)},
    ),
    Family("kind", "sigs.k8s.io/kind", {"kind": Binary("sigs.k8s.io/kind", 20)}),
)

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
CLUSTER = (
    *CONTROL_PLANE,
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kube-router",
    "helm",
    "coredns",
    "metrics-server",
    "pause",
)
CHART_TOOLS = ("helm3", "helm-unittest", "promtool", "kube-score", "actionlint")
"""What charts and the release workflow are checked with, besides helm."""


def family_of(binary: str) -> Family:
    """The family that a program belongs to."""
    return next(family for family in FAMILIES if binary in family.binaries)


def ensure(*binaries: str) -> dict[str, Path]:
    """Builds what is missing, with progress, and returns the paths by name.

    Raises:
        HarnessError: there is no Go, or a build failed.
    """
    if missing := [name for name in binaries if not family_of(name).path(name).exists()]:
        seconds = sum(family_of(name).binaries[name].seconds for name in missing)
        with locked("tools"):
            say(f"Building {', '.join(missing)} (about {max(1, round(seconds / 60))} min on 2 cores, once)")
            for name in missing:
                _build(family_of(name), name)
    return {name: family_of(name).path(name) for name in binaries}


def binary(name: str) -> Path:
    """The path of a program, built if need be."""
    return ensure(name)[name]


def client(name: str) -> Path:
    """`kubectl` or `helm`: our own if it is built, else the one on PATH, else ours, built now."""
    ours = family_of(name).path(name)
    found = shutil.which(name)
    return Path(found) if found and not ours.exists() else binary(name)


def _build(family: Family, name: str) -> None:
    target = family.path(name)
    if target.exists():  # another run has built it while this one waited for the lock
        return
    if shutil.which("go") is None:
        raise HarnessError(
            f"building {name} needs Go: install the version of {family.folder / 'go.mod'} or a later one "
            "(https://go.dev/doc/install) and put it on PATH"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as folder:
        built = Path(folder) / name
        with step(
            f"go build {name} {family.version} (the first time about {family.binaries[name].seconds} s)"
        ):
            run(
                family.command(name, built),
                cwd=family.folder,
                env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
            )
        built.replace(target)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds a lock between all runs of the harness that share a cache; says so when it has to wait."""
    file = paths.cache() / f"{name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"another run works on the {name}: waiting for it"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
