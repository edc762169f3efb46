"""Pods that do what no server should, one port a kind: `python -m tests.support.operator.evil_pod`.

It is a process of its own, so that what it spends isn't counted as the operator's. It prints its ports.
"""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
OBJECTS = b'{"":[]},'


@dataclass
class Request:
    """One request, and where its answer goes."""

    writer: asyncio.StreamWriter
    method: str
    """Of JSON-RPC; empty for the readiness endpoint."""
    call: int

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
        await self.writer.drain()

    async def for_ever(self, piece: bytes, *, pause: float = 0) -> None:
        while True:
            await self.say(piece)
            await asyncio.sleep(pause)

    async def answer(self, body: bytes, *headers: bytes, content_type: bytes = b"application/json") -> None:
        lines = b"".join(b"%s\r\n" % header for header in headers)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n"
        await self.say(head % (content_type, lines, len(body)) + body)

    def result(self, more: bytes = b"") -> bytes:
        """An honest result, and more members of the object."""
        if not self.method:
            return b'{"index": {"documents": 2}}'
        honest = (
            b'"serverInfo": {"name": "flame-mcp"}, "protocolVersion": "2025-11-25", '
            b'"tools": [{"name": "get_flame_knowledge"}], "structuredContent": {"results": [{}]}'
        )
        return b'{"jsonrpc": "2.0", "id": %d, "result": {%s%s}}' % (self.call, honest, more)


Attack = Callable[[Request], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"
JSON_HEAD = OK + b"Content-Type: application/json\r\n"
CHUNKED = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def says(*pieces: bytes) -> Attack:
    """Sends these pieces and hangs."""

    async def attack(request: Request) -> None:
        await request.say(*pieces)
        await asyncio.Event().wait()

    return attack


def floods(first: bytes, then: bytes, *, pause: float = 0) -> Attack:
    async def attack(request: Request) -> None:
        await request.say(first)
        await request.for_ever(then, pause=pause)

    return attack


def later(attack: Attack, method: str) -> Attack:
    """Honest until a method is called."""

    async def at(request: Request) -> None:
        await (attack(request) if request.method == method else request.answer(request.result()))

    return at


def fills(filler: bytes, size: int, *, end: bytes = b"0") -> Attack:
    """An honest answer with an array of `size` bytes; hangs at the canary query."""

    async def attack(request: Request) -> None:
        if request.method == "tools/call":
            await asyncio.Event().wait()
        is_large = request.method in ("initialize", "tools/list")
        more = b', "x": [' + filler * (size // len(filler)) + end + b"]" if is_large else b""
        await request.answer(request.result(more))

    return attack


def events(data: bytes) -> Attack:
    async def attack(request: Request) -> None:
        await request.answer(data, content_type=b"text/event-stream")

    return attack


BOMB = gzip.compress(b" " * 10_000_000 + b"{}")


async def gzipped(request: Request) -> None:
    await request.answer(BOMB, b"Content-Encoding: gzip")


async def answers_twice(request: Request) -> None:
    """Sends an answer that nobody has asked for after each one."""
    honest = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    await request.answer(request.result())
    await request.say(honest)


async def fills_all(request: Request) -> None:
    """Keeps to every bound but that of the whole check."""
    room = {"tools/list": 256_000, "tools/call": 261_500}.get(request.method, 15_000)
    await request.answer(request.result() + b" " * room)


async def stays_open(request: Request) -> None:
    """Answers with streams of events, and keeps each open."""
    if not request.method:
        await request.answer(request.result())
        return
    head = OK + b"Content-Type: text/event-stream\r\n\r\nevent: message\r\n"
    await request.say(head, b"data: " + request.result() + b"\r\n\r\n")
    await asyncio.Event().wait()


async def repeats_lengths(request: Request) -> None:
    """Sends the length twice; RFC 9112 has it taken if both are the same."""
    await request.answer(request.result(), b"Content-Length: %d" % len(request.result()))


async def closes(request: Request) -> None:
    """Closes the connection after each answer without saying so."""
    await request.answer(request.result())
    request.writer.close()


ATTACKS: dict[str, Attack] = {
    "small objects": fills(OBJECTS, 250 * 1024),
    "small objects in tools/list": later(fills(OBJECTS, 250 * 1024), "tools/list"),
    "objects in objects": later(fills(b'{"a":', 200_000), "tools/list"),
    "commas": later(fills(b"1,", 200_000), "tools/list"),
    "deep JSON": later(fills(b"[", 10_000), "tools/list"),
    "large answers that hang": later(
        says(JSON_HEAD + b"Content-Length: 262000\r\n\r\n", b" " * 261_000), "tools/call"
    ),
    "100 Continue": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "103 Early Hints": floods(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100),
    "chunk extension": floods(CHUNKED + b"1;", b"x" * 65_536),
    "chunk extensions": floods(CHUNKED, (b"1;" + b"x" * 200 + b"\r\n \r\n") * 100),
    "tiny chunks": floods(CHUNKED, b"1\r\n \r\n" * 5000),
    "zeros before a size": floods(CHUNKED, b"0" * 65_536),
    "trailers": floods(CHUNKED + b"0\r\n", b"X: y\r\n" * 5000),
    "one trailer": floods(CHUNKED + b"0\r\nX: ", b"y" * 65_536),
    "headers": floods(OK, b"X: y\r\n" * 5000),
    "one header": floods(OK + b"X: ", b"y" * 65_536),
    "status line": floods(b"HTTP/1.1 200 ", b"y" * 65_536),
    "spaces in headers": floods(OK, b"X: y" + b" " * 8000 + b"y\r\n"),
    "empty lines": floods(b"", b"\r\n" * 5000),
    "endless body": floods(JSON_HEAD + b"\r\n", b" " * 65_536),
    "endless chunks": floods(CHUNKED, b"4000\r\n" + b" " * 0x4000 + b"\r\n"),
    "a huge length": says(JSON_HEAD + b"Content-Length: 999999999999\r\n\r\n"),
    "a negative length": says(JSON_HEAD + b"Content-Length: -1\r\n\r\n{}"),
    "two lengths": says(JSON_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "a length and chunks": says(JSON_HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
    "unknown encoding": says(JSON_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n{}"),
    "switches protocols": says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "events": later(
        floods(OK + b"Content-Type: text/event-stream\r\n\r\n", b"data: {}\n\n" * 5000), "tools/list"
    ),
    "one endless event": later(
        floods(OK + b"Content-Type: text/event-stream\r\n\r\ndata: ", b" " * 65_536), "tools/list"
    ),
    "small events": later(events(b"data:{}\n\n" * 20_000), "tools/list"),
    "event lines": later(events(b"data:\n" * 40_000), "tools/list"),
    "objects in events": later(events((b"data:" + OBJECTS * 300 + b"\n\n") * 100), "tools/list"),
    "gzip": gzipped,
    "drips": floods(JSON_HEAD, b"X", pause=0.0001),
    "drips of a body": later(floods(JSON_HEAD + b"\r\n", b" ", pause=0.0001), "tools/call"),
    "answers twice": answers_twice,
    "chunks that never end a line": floods(CHUNKED + b"1\r\n ", b"x" * 65_536),
    "more than a check takes": fills_all,
    "closes": closes,
    "streams that stay open": stays_open,
    "repeated lengths": repeats_lengths,
}


async def honest(request: Request) -> None:
    """Answers as a server should."""
    await request.answer(request.result())


async def serve(attack: Attack, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                body = await reader.readexactly(length)
                call: dict[str, Any] = json.loads(body) if body else {"method": "", "id": 0}
                await attack(Request(writer, call["method"], call["id"]))
        writer.close()

    return await asyncio.start_server(talk, host, port)


async def main() -> None:
    servers = {kind: await serve(attack) for kind, attack in ATTACKS.items()}
    ports = {kind: server.sockets[0].getsockname()[1] for kind, server in servers.items()}
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


@contextmanager
def evil_pods() -> Iterator[dict[str, int]]:
    """The ports of all kinds of evil pods, in another process."""
    command = [sys.executable, "-m", "tests.support.operator.evil_pod"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main())
