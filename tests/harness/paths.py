"""Where the harness keeps things: a cache that outlives clusters, and the state of what runs now."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TOOLS = Path(__file__).resolve().parent / "tools"

# Unix sockets' paths are limited to 107 bytes, so they live here and not in a state folder of any depth.
RUN = Path("/run/flame-mcp-dev")


def cache() -> Path:
    """`$FLAME_CACHE`: built tools, base images and the image store of the harness's own Docker engine."""
    return Path(os.environ.get("FLAME_CACHE") or Path.home() / ".cache" / "flame-mcp").absolute()


def state() -> Path:
    """`$FLAME_STATE`: the running cluster's data, keys, pid files and logs. One cluster per machine."""
    return Path(os.environ.get("FLAME_STATE") or "/var/lib/flame-mcp-dev").absolute()


def kubeconfig() -> Path:
    """The admin kubeconfig of the cluster that the harness itself runs."""
    return state() / "kubeconfig"


def logs() -> Path:
    """Logs of the components; kept by `down`, so that a failure can still be read afterwards."""
    return state() / "log"
