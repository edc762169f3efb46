"""Pods of honest and of evil servers, in a process of their own: it listens where it is told to.

Each line of its input is a kind, an address and a port, with tabs between. It answers with a line.
"""

import asyncio
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.harness.paths import REPO
from tests.support.operator.evil_pod import ATTACKS, honest, serve

KINDS = {"honest": honest, **ATTACKS}


class Pods:
    """The process, and what is asked of it."""

    def __init__(self, *, niceness: int = 0) -> None:
        self._turn = asyncio.Lock()
        self._command = ["nice", "-n", str(niceness), sys.executable, "-m", __name__]

    async def __aenter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, cwd=REPO, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        await self._process.wait()

    async def listen(self, kind: str, address: str, port: int) -> None:
        """Have a pod of this kind listen there."""
        streams = self._process
        assert streams.stdin is not None
        assert streams.stdout is not None
        async with self._turn:
            streams.stdin.write(f"{kind}\t{address}\t{port}\n".encode())
            answer = await streams.stdout.readline()
        assert answer == b"listens\n", "the process of the pods has ended"


async def main() -> None:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    servers: dict[tuple[str, str], asyncio.Server] = {}
    while line := (await reader.readline()).decode():
        kind, address, port = line.rstrip("\n").split("\t")
        # A new Service may have the address of one that was deleted.
        if earlier := servers.pop((address, port), None):
            earlier.close()
        servers[address, port] = await serve(KINDS[kind], address, int(port))
        print("listens", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
