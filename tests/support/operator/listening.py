"""The operator's listener in a process of its own, and clients that attack it.

Run with a port, it serves until a line comes in, and prints what that cost. Run with a port and a number, it
makes honest requests.
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass

from flame_operator.telemetry.health import Answer, serve
from tests.support.operator.under_attack import ROOT, Costs, measured

LARGE = b"x" * 20_000_000
HEAD_OF_210_KB = b"GET /healthz HTTP/1.1\r\n" + b"".join(
    b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(26)
)


@dataclass
class Listener:
    """A listener that runs."""

    port: int
    process: "subprocess.Popen[bytes]"

    def costs(self) -> Costs:
        """End it; returns what it has spent since its start."""
        out, _ = self.process.communicate(b"\n", timeout=20)
        return Costs(**json.loads(out))

    async def probe(self, count: int) -> tuple[int, float]:
        """Make honest requests, as a kubelet does; returns how many were answered, and the longest time.

        They come from another process, since one that attacks is slow in sending.
        """
        command = [sys.executable, "-m", "tests.support.operator.listening", str(self.port), str(count)]
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe)
        out, _ = await client.communicate()
        answered, seconds = json.loads(out)
        return answered, seconds

    @asynccontextmanager
    async def connection(
        self, source: str = "127.0.0.1"
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@contextmanager
def listener() -> Iterator[Listener]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.support.operator.listening", str(port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Listener(port, process)
        finally:
            process.kill()


def get(port: int) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while piece := client.recv(4096):
            answer += piece
    return answer


def probe(port: int, count: int) -> None:
    answered, longest = 0, 0.0
    for _ in range(count):
        began = time.monotonic()
        with suppress(OSError):
            answered += get(port).endswith(b"\r\n\r\nok")
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    print(json.dumps([answered, longest]))


def heavy() -> Answer:
    """Takes 20 ms, twice what a large page of metrics takes."""
    began = time.thread_time()
    while time.thread_time() - began < 0.02:
        pass
    return Answer(200, "text/plain", b"metrics")


async def main(port: int) -> None:
    endpoints = {
        "/healthz": lambda: Answer(200, "text/plain", b"ok"),
        "/heavy": heavy,
        "/large": lambda: Answer(200, "text/plain", LARGE),
    }
    async with serve(port, endpoints):
        await asyncio.sleep(0)
        print("ready", flush=True)
        async with measured() as costs:
            await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps(asdict(costs)))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        probe(int(sys.argv[1]), int(sys.argv[2]))
    else:
        asyncio.run(main(int(sys.argv[1])))
