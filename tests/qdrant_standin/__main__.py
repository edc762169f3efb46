"""The stand-in as a process: `python -m tests.qdrant_standin`, configured like Qdrant by variables."""

import os
import sys
import warnings
from pathlib import Path

import uvicorn

from tests.qdrant_standin.app import QdrantStandIn


def main() -> None:
    """Serve until SIGTERM."""
    warnings.simplefilter("ignore", UserWarning)
    read = os.environ.get
    stand_in = QdrantStandIn(
        read("QDRANT__SERVICE__API_KEY"),
        read("QDRANT__SERVICE__READ_ONLY_API_KEY"),
        Path(read("QDRANT__STORAGE__STORAGE_PATH", "/qdrant/storage")) / "engine",
        Path(read("QDRANT__STORAGE__SNAPSHOTS_PATH", "/qdrant/snapshots")),
    )
    if sys.argv[1:]:
        print(f"a stand-in is one node, and takes no notice of {' '.join(sys.argv[1:])}", flush=True)
    try:
        port = int(read("QDRANT__SERVICE__HTTP_PORT", "6333"))
        uvicorn.run(stand_in.app, host="0.0.0.0", port=port, access_log=False)  # noqa: S104 - in a pod
    finally:
        stand_in.close()


if __name__ == "__main__":
    main()
