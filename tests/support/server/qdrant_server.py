"""The Qdrant stand-in on a free port of loopback."""

import asyncio
import socket
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


class _Server(uvicorn.Server):
    """Ends at once: uvicorn looks ten times a second whether it should, and waits as long for connections."""

    async def main_loop(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        await self.on_tick(0)
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.001)

    def end(self) -> None:
        """May be called from another thread, once the server has started."""
        self._loop.call_soon_threadsafe(self._end.set)


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
    server = _Server(config)
    thread = threading.Thread(target=_run, args=(server,))
    thread.start()
    wait_for(lambda: server.started, "Qdrant stand-in")
    stand_in.url = f"{'https' if certificate else 'http'}://localhost:{port}"
    try:
        yield stand_in
    finally:
        server.end()
        thread.join()
        stand_in.close()


def _run(server: uvicorn.Server) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        asyncio.run(server.serve())
