"""Stops a control plane when the process at the other end of standard input is gone (see control_plane)."""

import sys
from pathlib import Path

from tests.harness.control_plane import stop_all

if __name__ == "__main__":
    sys.stdin.buffer.read()
    stop_all(Path(sys.argv[1]))
