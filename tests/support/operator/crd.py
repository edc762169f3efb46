"""The CRD, as the repository has it."""

from pathlib import Path
from typing import Any

import yaml

CRD: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "crds/flamemcpservers.yaml").read_text())
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
