"""The Qdrant stand-in on a free port of loopback."""

import asyncio
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.server_process import free_port, wait_for

KEY = "qdrant-s3cret"
READ_KEY = "qdrant-r3ad"


@contextmanager
def qdrant_served(
    key: str | None = None,
    certificate: Path | None = None,
    private_key: Path | None = None,
    snapshots: Path | None = None,
    host: str = "127.0.0.1",
) -> Iterator[QdrantStandIn]:
    """The server on a free port of loopback, over TLS when there is a certificate."""
    stand_in = QdrantStandIn(key, READ_KEY if key else None, snapshots=snapshots)
    port = free_port()
    config = uvicorn.Config(
        stand_in.app,
        host=host,
        port=port,
        log_config=None,
        lifespan="off",
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_run, args=(server,))
    thread.start()
    wait_for(lambda: server.started, "Qdrant stand-in")
    stand_in.url = f"{'https' if certificate else 'http'}://localhost:{port}"
    try:
        yield stand_in
    finally:
        server.should_exit = True
        thread.join()
        stand_in.close()


def _run(server: uvicorn.Server) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        asyncio.run(server.serve())
