"""Custom resource definitions of others, as their projects publish them in Go modules."""

import json
import shutil
from pathlib import Path

from tests.harness import paths
from tests.harness.errors import HarnessError
from tests.harness.proc import run

_FOLDER = paths.TOOLS / "crds"
HTTP_ROUTES = ("sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml")
GATEWAYS = tuple(
    ("sigs.k8s.io/gateway-api", f"config/crd/standard/gateway.networking.k8s.io_{kind}.yaml")
    for kind in ("gatewayclasses", "gateways", "httproutes", "referencegrants")
)
CONTOUR = ("github.com/projectcontour/contour", "examples/contour/01-crds.yaml")
SERVICE_MONITORS = (
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
)


def definition(module: str, file: str, folder: Path = _FOLDER) -> Path:
    """A file of a module in the version, and with the checksum, that the folder's go.mod and go.sum name.

    Raises:
        HarnessError: there is no Go, or the module can't be had.
    """
    if shutil.which("go") is None:
        raise HarnessError(
            "custom resource definitions come as Go modules: install Go (https://go.dev/doc/install)"
        )
    env = {"GOFLAGS": "-mod=mod", "GOWORK": "off"}
    found = json.loads(run(["go", "mod", "download", "-json", module], cwd=folder, env=env).stdout)
    return Path(found["Dir"]) / file
