"""Packs that git would never make, and a server that sends one."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.support.server.https_servers import https_served

COMMIT, TREE, BLOB, TAG, OFFSET_DELTA, NAMED_DELTA = 1, 2, 3, 4, 6, 7
_NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}


def name_of(kind: int, data: bytes) -> bytes:
    return hashlib.sha1(_NAMES[kind] + b" %d\0" % len(data) + data, usedforsecurity=False).digest()


def tree_of(entries: Sequence[tuple[str, bytes, bytes]]) -> bytes:
    return b"".join(f"{mode} ".encode() + name + b"\0" + child for mode, name, child in entries)


def commit_of(tree: bytes) -> bytes:
    return f"tree {tree.hex()}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n".encode()


def entry(kind: int, size: int, packed: bytes, base: bytes = b"") -> bytes:
    """An object of a pack; `packed` is compressed, `base` encoded."""
    head, left = [(kind << 4) | (size & 15)], size >> 4
    while left:
        head[-1] |= 0x80
        head.append(left & 0x7F)
        left >>= 7
    return bytes(head) + base + packed


def stored(kind: int, data: bytes) -> bytes:
    return entry(kind, len(data), zlib.compress(data))


def number(value: int) -> bytes:
    """A size as deltas write it."""
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def distance(back: int) -> bytes:
    """How far back the base of a delta is."""
    found = [back & 0x7F]
    while back := back >> 7:
        back -= 1
        found.insert(0, back & 0x7F | 0x80)
    return bytes(found)


def pack_of(objects: Sequence[bytes]) -> bytes:
    data = b"PACK" + (2).to_bytes(4) + len(objects).to_bytes(4) + b"".join(objects)
    return data + hashlib.sha1(data, usedforsecurity=False).digest()


@cache
def zeros(size: int) -> bytes:
    """So many zeros, compressed: a thousandth."""
    made, piece = zlib.compressobj(9), bytes(1024**2)
    parts = [made.compress(piece[: min(len(piece), size - at)]) for at in range(0, size, len(piece))]
    return b"".join(parts) + made.flush()


@cache
def zeros_name(size: int) -> bytes:
    digest, piece = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), bytes(1024**2)
    for at in range(0, size, len(piece)):
        digest.update(piece[: min(len(piece), size - at)])
    return digest.digest()


def line(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


@contextmanager
def pack_served(pack: bytes, commit: bytes, certificate: tuple[Path, Path]) -> Iterator[str]:
    """A git server that offers this commit as main, and sends this pack whatever is asked for."""
    head = commit.hex().encode()
    refs = line(b"# service=git-upload-pack\n") + b"0000"
    refs += line(head + b" refs/heads/main\0shallow agent=evil\n") + b"0000"
    answer = line(b"shallow " + head) + b"0000" + line(b"NAK\n") + pack

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send("advertisement", refs)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send("result", answer)

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with https_served(Handler, certificate) as address:
        yield f"{address}/x.git"
