"""A cluster in Docker by kind, where kind's node image can be had."""

import re
from pathlib import Path

from tests.harness import addons, paths, tools
from tests.harness.console import step
from tests.harness.engine import Engine, pullable
from tests.harness.errors import HarnessError
from tests.harness.proc import run

NAME = "flame-mcp-dev"
_IMAGE_FILE = "pkg/apis/config/defaults/image.go"


def node_image() -> str:
    """The node image that the pinned version of kind uses, out of its source.

    Raises:
        HarnessError: there is no Go, or the module can't be had.
    """
    folder = tools.FAMILIES[-1].folder
    go = {"GOFLAGS": "-mod=mod", "GOWORK": "off"}
    run(["go", "mod", "download", "sigs.k8s.io/kind"], cwd=folder, env=go, timeout=120)
    module = run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"], cwd=folder, env=go
    ).stdout.strip()
    return image_in((Path(module) / _IMAGE_FILE).read_text())


def image_in(source: str) -> str:
    """The value of the constant `Image` in Go source."""
    found = re.search(r'^const Image = "([^"]+)"', source, re.MULTILINE)
    if found is None:
        raise HarnessError(f"kind's {_IMAGE_FILE} names no node image: set FLAME_CLUSTER=binaries")
    return found[1]


def possible(engine: Engine | None) -> bool:
    """Whether there is an engine that can get the node image."""
    if engine is None:
        return False
    try:
        image = node_image()
    except HarnessError:
        return False
    return engine.image_id(image) is not None or pullable(engine, image)


def _kind(*args: str | Path, timeout: float = 600.0) -> str:
    return run([tools.binary("kind"), *args], timeout=timeout).stdout


def exists() -> bool:
    """Whether the cluster is there, running or not."""
    return NAME in _kind("get", "clusters").split()


def up() -> None:
    """Creates the cluster and its metrics-server; does nothing where they are.

    Raises:
        HarnessError: kind failed; shows what it said.
    """
    paths.state().mkdir(parents=True, exist_ok=True)
    file = f"--kubeconfig={paths.kubeconfig()}"
    if exists():
        _kind("export", "kubeconfig", f"--name={NAME}", file)
    else:
        with step(f"kind cluster {NAME} (pulls its node image, about 2 min)"):
            _kind("create", "cluster", f"--name={NAME}", file, "--wait=180s")
    kubectl = [str(tools.client("kubectl")), file]
    available = ["wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io"]
    if run([*kubectl, *available, "--timeout=1s"], check=False).returncode == 0:
        return
    with step("metrics-server"):
        addons.load_image("metrics-server", _load_archive)
        run([*kubectl, "apply", "-f", "-"], text_input=addons.manifest("metrics-server"))
        run([*kubectl, *available, "--timeout=180s"])


def _load_archive(file: Path, reference: str, image_id: str) -> None:
    del reference, image_id  # kind compares by itself
    _kind("load", "image-archive", file, f"--name={NAME}")


def load_image(ref: str) -> None:
    """Puts an image of the user's Docker engine into the node."""
    with step(f"loading {ref} into kind's node"):
        _kind("load", "docker-image", ref, f"--name={NAME}")


def down() -> None:
    """Deletes the cluster; does nothing where there is none."""
    if exists():
        with step(f"deleting kind cluster {NAME}"):
            _kind("delete", "cluster", f"--name={NAME}", f"--kubeconfig={paths.kubeconfig()}")
