"""Reads what a pod sends, a little at a time, and never more than a check may take.

Whatever a pod does, a check costs a bounded number of bytes, of reads and of memory. Reading pauses while
what has arrived is looked at, so that a pod can't send faster than the operator wants to read.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Self

from flame_operator.verification.verdict import Failure

MAX_BYTES = 512 * 1024
"""How many bytes a pod may send in one check, counting everything: heads, framing and bodies."""
READ_BYTES = 16 * 1024
"""How many bytes are read at once."""
KERNEL_BYTES = 64 * 1024
"""How many bytes wait in the kernel, as far as it obeys; they count as the operator's memory, too."""
QUICK_READS = 64
"""How many times a check reads without a pause. After them, bytes that drip in cost one read per pause."""
PAUSE_SECONDS = 0.05
MAX_HELD_BYTES = 8 * 1024 * 1024
"""How many bytes of unfinished answers all checks may hold together."""

NOT_HTTP = "the server's answer isn't HTTP"


class HeldBytes:
    """Bounds the bytes of unfinished answers over all checks.

    Where they become too many, the check that began first is given up: an honest answer takes milliseconds,
    so the oldest is one that hangs. No check waits for another.

    Args:
        most: How many bytes all checks may hold together.
    """

    def __init__(self, most: int = MAX_HELD_BYTES) -> None:
        self._most = most
        self._held: dict[Wire, int] = {}
        self._total = 0

    @property
    def total(self) -> int:
        """The bytes that checks hold at the moment."""
        return self._total

    def hold(self, wire: "Wire", count: int) -> None:
        """Count bytes that a check holds from now on."""
        self._held[wire] = self._held.get(wire, 0) + count
        self._total += count
        while self._total > self._most:
            oldest = next((each for each, held in self._held.items() if held > READ_BYTES), wire)
            self.release(oldest)
            oldest.give_up()

    def release(self, wire: "Wire", most: int = sys.maxsize) -> None:
        """Count bytes that a check no longer holds: all or `most`. It stays the oldest if it was."""
        if wire in self._held:
            count = min(self._held[wire], most)
            self._total -= count
            self._held[wire] -= count

    def forget(self, wire: "Wire") -> None:
        """Forget a check."""
        self.release(wire)
        self._held.pop(wire, None)


class _Stream(asyncio.BufferedProtocol):
    """One connection. It stops reading after each read until it is asked for more."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ended = False
        self.transport: asyncio.Transport | None = None
        self._space = bytearray(READ_BYTES)
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport
        transport.pause_reading()
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's name
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self._space[:nbytes]
        if self.transport is not None:
            self.transport.pause_reading()
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a lost connection is the end
        self.ended = True
        self._arrived.set()

    async def more(self) -> int:
        """Wait for more data; returns how many bytes came, and 0 at the end."""
        before = len(self.data)
        self._arrived.clear()
        if self.ended or self.transport is None:
            return 0
        self.transport.resume_reading()
        await self._arrived.wait()
        return len(self.data) - before

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Wire:
    """What one check sends and receives, on one connection at a time.

    Args:
        host: The address to connect to.
        port: Its port.
        held: Counts the bytes that this check and all others hold.
        give_up: Ends the check; called when all checks together hold too much.

    Raises:
        Failure: By all methods that read: the pod has sent more than a check takes.
        ConnectionError: By all methods that read: the pod has broken off.
    """

    def __init__(self, host: str, port: int, held: HeldBytes, give_up: Callable[[], None]) -> None:
        self._address = host, port
        self._held = held
        self._give_up: Callable[[], None] | None = give_up
        self._stream: _Stream | None = None
        self._left = MAX_BYTES
        self._reads = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        self._held.forget(self)

    @property
    def is_open(self) -> bool:
        """Whether the connection is there, and the pod hasn't sent anything that nobody asked for."""
        return self._stream is not None and not self._stream.ended and not self._stream.data

    async def connect(self) -> None:
        """Open a new connection in place of the last one.

        Raises:
            Failure: It can't be opened; the text tells why, without the address.
        """
        self.close()
        host, port = self._address
        try:
            _, self._stream = await asyncio.get_running_loop().create_connection(_Stream, host, port)
        except OSError as error:
            cause = os.strerror(error.errno).lower() if error.errno else "the connection was lost"
            raise Failure(cause) from None

    def close(self) -> None:
        """Close the connection without waiting for anything."""
        if self._stream is not None:
            self._stream.abort()
            self._stream = None

    def give_up(self) -> None:
        """End the check, which learns of it where it waits next."""
        if self._give_up is not None:
            self._give_up()
            self._give_up = None

    def send(self, data: bytes) -> None:
        """Send data, which is small."""
        if self._stream is not None and self._stream.transport is not None:
            self._stream.transport.write(data)

    async def line(self, most: int) -> bytes:
        """The next line, without its end.

        Args:
            most: How many bytes it may have.
        """
        while (end := self._data.find(b"\n", 0, most + 1)) < 0:
            if len(self._data) > most:
                raise Failure(NOT_HTTP, overrun=True)
            if not await self._more():
                raise ConnectionError
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        self._held.release(self, end + 1)
        return line.removesuffix(b"\r")

    async def some(self, most: int) -> bytes:
        """The next bytes, as many as are there but no more than `most`; none at the end."""
        if not self._data and not await self._more():
            return b""
        piece = bytes(self._data[:most])
        del self._data[:most]
        return piece

    def release(self) -> None:
        """Say that what was read is no longer held."""
        self._held.release(self)

    @property
    def _data(self) -> bytearray:
        if self._stream is None:
            raise ConnectionError
        return self._stream.data

    async def _more(self) -> bool:
        if self._reads >= QUICK_READS:
            await asyncio.sleep(PAUSE_SECONDS)
        self._reads += 1
        count = await self._stream.more() if self._stream is not None else 0
        self._left -= count
        if self._left < 0:
            raise Failure(f"the server sends more than {MAX_BYTES // 1024} KiB in one check", overrun=True)
        self._held.hold(self, count)
        return count > 0
