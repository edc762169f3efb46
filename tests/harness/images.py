"""Images: the base that Dockerfiles start from, with or without a registry, and the way into the nodes."""

import functools
import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import engine as engines
from tests.harness import kind, node, packages, paths, tools
from tests.harness.console import step
from tests.harness.engine import Engine
from tests.harness.errors import HarnessError
from tests.harness.proc import run

if TYPE_CHECKING:
    from tests.harness.cluster import Cluster

_PULL_SECONDS = 600.0
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

# Debian's release for each minor version of its Python.
_SUITES = {"3.11": "bookworm", "3.13": "trixie"}
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RECIPE = "1"  # raise it when `_finish` changes: what is cached was made by it
_UNNEEDED = (
    "var/cache/apt/archives/*.deb",
    "var/lib/apt/lists/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "var/log/*",
)


def ensure_base(engine: Engine, ref: str) -> str:
    """Makes sure that `ref` is in the engine, such as `python:3.13-slim@sha256:...`, or a stand-in for it.

    Pulled where a registry answers. Else a stand-in is made from Debian's packages and kept under that name,
    without the digest, which nothing made here could have.

    Returns:
        What builds have to start from: `ref`, or the name of the stand-in.

    Raises:
        HarnessError: it can be neither pulled nor made.
    """
    if engine.image_id(ref) is not None or _pull(engine, ref):
        return ref
    name = ref.partition("@")[0]
    if engine.image_id(name) is None:
        archive = _stand_in(name)
        with step(f"importing {name}, made of Debian's packages"):
            changes = [f"--change=ENV PATH={_PATH} LANG=C.UTF-8", '--change=CMD ["python3"]']
            engine.docker("import", *changes, archive, name, timeout=_PULL_SECONDS)
    return name


@functools.cache
def _pull(engine: Engine, ref: str) -> bool:
    if not engines.pullable(engine, ref):
        return False
    with step(f"docker pull {ref}"):
        engine.docker("pull", ref, timeout=_PULL_SECONDS)
    return True


def suite_of(ref: str) -> str:
    """The Debian release whose Python is that of an official slim image.

    Raises:
        HarnessError: there is none.
    """
    found = re.fullmatch(r"python:(\d+\.\d+)(?:\.\d+)?-slim(?:-\w+)?", ref)
    if found is None or found[1] not in _SUITES:
        known = ", ".join(f"python:{version}-slim" for version in _SUITES)
        raise HarnessError(
            f"{ref} can't be pulled, and a stand-in can be made only of {known}: "
            "give this machine a registry, or load the image into the Docker engine by hand"
        )
    return _SUITES[found[1]]


def base_key(ref: str) -> str:
    """The stand-in's name in the cache: its release and a hash of the rest that goes into it."""
    bundle = _CA_BUNDLE.read_bytes() if _CA_BUNDLE.exists() else b""
    digest = hashlib.sha256("\0".join((_RECIPE, _PACKAGES, *_UNNEEDED)).encode() + bundle).hexdigest()[:12]
    return f"{suite_of(ref)}-minbase-{digest}.tar"


def _stand_in(ref: str) -> Path:
    """The root file system as an archive in the cache, made with debootstrap when it isn't there."""
    target = paths.cache() / "base" / base_key(ref)
    with tools.locked("base-image"):
        if target.exists():
            return target
        packages.require_root(f"making {ref} without a registry")
        packages.require(packages.BASE_IMAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as folder:
            root, archive = Path(folder) / "root", Path(folder) / "root.tar"
            suite = suite_of(ref)
            with step(f"debootstrap {suite} for {ref} (no registry answers; about 80 s, once)"):
                argv: list[str | Path] = [
                    "debootstrap",
                    "--variant=minbase",
                    f"--include={_PACKAGES}",
                    suite,
                    root,
                ]
                run(argv, timeout=1800)
            _finish(root, ref)
            run(["tar", "-C", root, "--numeric-owner", "--one-file-system", "-cf", archive, "."])
            archive.replace(target)
    return target


def _finish(root: Path, ref: str) -> None:
    """Makes Debian's root file system look like the official image as far as Dockerfiles care."""
    version = ref.removeprefix("python:").split("-")[0]
    minor = ".".join(version.split(".")[:2])
    for name, target in {"python": f"python{minor}", "python3": f"python{minor}", "pip": "pip3"}.items():
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/usr/bin/{target}")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    if _CA_BUNDLE.exists():  # so that a mirror with a certificate of its own is trusted
        shutil.copyfile(_CA_BUNDLE, root / _CA_BUNDLE.relative_to("/"))
    for pattern in _UNNEEDED:
        for entry in root.glob(pattern):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def load(cluster: "Cluster", engine: Engine, ref: str) -> None:
    """Puts an image of the engine's into the cluster's nodes, unless they have that content already.

    Raises:
        HarnessError: the engine hasn't got the image, or it isn't a cluster of the harness's own.
    """
    image_id = engine.image_id(ref)
    if image_id is None:
        raise HarnessError(f"the Docker engine has no image {ref}: build it first")
    if cluster.kind == "external":
        raise HarnessError(
            f"{ref} can't be loaded into a cluster that isn't the harness's own: push it to a registry that "
            "it pulls from, and set FLAME_SERVER_IMAGE and FLAME_OPERATOR_IMAGE to the pushed names"
        )
    if cluster.kind == "kind":
        kind.load_image(ref)
    elif not node.has_image(ref, image_id):
        with step(f"loading {ref} into the node"), tempfile.TemporaryDirectory(prefix="flame-mcp-") as folder:
            archive = Path(folder) / "image.tar"
            engine.docker("save", f"--output={archive}", ref, timeout=_PULL_SECONDS)
            node.import_image(archive, ref, image_id)
