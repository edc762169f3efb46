"""What a cluster has besides Kubernetes itself: DNS and metrics, in images made here."""

import string
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.harness import archive, tools
from tests.harness.components import CLUSTER_DOMAIN, DNS_SERVICE

_FOLDER = Path(__file__).resolve().parent / "manifests"

# By the server: kubectl's own merge takes two protocols at one port for the same entry, and loses one.
APPLY = ("apply", "--server-side", "--force-conflicts", "--filename=-")

# Loads an image archive under its name and id into the nodes: (archive, reference, image id).
Load = Callable[[Path, str, str], None]


def reference(program: str) -> str:
    """The image name of a program of ours; `localhost`, so that no runtime ever looks elsewhere for it."""
    return f"localhost/flame-mcp/{program}:{tools.family_of(program).version}"


def manifest(program: str, dns_port: int = 53) -> str:
    """The add-on's objects as YAML; `dns_port` is where CoreDNS listens in its pod."""
    template = string.Template((_FOLDER / f"{program}.yaml").read_text())
    return template.substitute(
        image=reference(program), address=DNS_SERVICE, domain=CLUSTER_DOMAIN, dns_port=dns_port
    )


def load_image(program: str, load: Load) -> None:
    """Makes a program's image and hands it to `load`."""
    with tempfile.TemporaryDirectory(prefix="flame-mcp-") as folder:
        file = Path(folder) / f"{program}.tar"
        name = reference(program)
        image_id = archive.scratch_image(tools.binary(program), name, file)
        load(file, name, image_id)
