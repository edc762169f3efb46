"""The stand-in as a process: `python -m tests.qdrant_standin`, configured like Qdrant by variables."""

import os
import warnings
from pathlib import Path

import click
import uvicorn

from tests.qdrant_standin.app import QdrantStandIn

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--host", default="0.0.0.0", envvar="QDRANT__SERVICE__HOST")  # noqa: S104 - in a pod
@click.option("--port", type=int, default=6333, envvar="QDRANT__SERVICE__HTTP_PORT")
@click.option("--storage", type=_PATH, default="/qdrant/storage", envvar="QDRANT__STORAGE__STORAGE_PATH")
@click.option(
    "--snapshots", type=_PATH, default="/qdrant/snapshots", envvar="QDRANT__STORAGE__SNAPSHOTS_PATH"
)
@click.option("--uri", help="The address of the only peer, in cluster mode.")
@click.option("--bootstrap", help="Taken no notice of: this is one node.")
def main(  # noqa: PLR0917 - one argument an option, passed by name
    host: str, port: int, storage: Path, snapshots: Path, uri: str | None, bootstrap: str | None
) -> None:
    """Serve until SIGTERM."""
    warnings.simplefilter("ignore", UserWarning)
    if bootstrap:
        print(f"a stand-in is one node: --bootstrap {bootstrap} is ignored", flush=True)
    read = os.environ.get
    stand_in = QdrantStandIn(
        read("QDRANT__SERVICE__API_KEY"),
        read("QDRANT__SERVICE__READ_ONLY_API_KEY"),
        storage / "engine",
        snapshots,
    )
    if read("QDRANT__CLUSTER__ENABLED") == "true":
        stand_in.peers.join(uri or "")
    try:
        uvicorn.run(stand_in.app, host=host, port=port, access_log=False, timeout_graceful_shutdown=1)
    finally:
        stand_in.close()


if __name__ == "__main__":
    main()
