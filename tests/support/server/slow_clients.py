"""Clients that hold connections open and never finish what they have begun."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class SlowClients:
    """Many connections, each of which sends `first` and then, with `drip`, one byte every second.

    Args:
        port: Of loopback.
        count: How many connections.
        first: What each sends as soon as it is connected.
        drip: Sends more bytes of this text, one a second and connection.
        again: Opens another connection for each that the server closes.
    """

    def __init__(
        self, port: int, count: int, first: bytes, *, drip: bytes = b"", again: bool = False
    ) -> None:
        self._port = port
        self._count = count
        self._first = first
        self._drip = drip
        self._again = again
        self._open: dict[socket.socket, float] = {}
        self._selector = selectors.EpollSelector()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.opened = 0
        self.answers: list[bytes] = []
        """The first bytes of what the server said to some of them."""
        self.longest = 0.0
        """Seconds that a connection was open before the server closed it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def open(self) -> int:
        """How many connections the server hasn't closed."""
        return len(self._open)

    def wait_until(self, condition: Callable[[Self], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition(self):
            assert time.monotonic() < end, f"{self.open} of {self.opened} are open after {seconds} s"
            self._stop.wait(0.05)

    def _run(self) -> None:
        dripped = time.monotonic()
        while not self._stop.is_set():
            missing = self._count - (len(self._open) if self._again else self.opened)
            for _ in range(min(missing, 200)):
                self._connect()
            for key, _ in self._selector.select(0.02):
                assert isinstance(key.fileobj, socket.socket)
                self._look(key.fileobj)
            if self._drip and time.monotonic() - dripped >= 1:
                dripped = time.monotonic()
                for connection in list(self._open):
                    with suppress(OSError):
                        connection.send(self._drip)
        for connection in list(self._open):
            connection.close()
        self._selector.close()

    def _connect(self) -> None:
        connection = socket.socket()
        try:
            connection.connect(("127.0.0.1", self._port))
            connection.setblocking(False)
            connection.send(self._first)
        except OSError:
            # Refused or given up at once: that is an answer too.
            connection.close()
            self.opened += 1
            return
        self.opened += 1
        self._open[connection] = time.monotonic()
        self._selector.register(connection, selectors.EVENT_READ)

    def _look(self, connection: socket.socket) -> None:
        try:
            said = connection.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said:
            if len(self.answers) < 100:
                self.answers.append(said[:200])
            return
        self.longest = max(self.longest, time.monotonic() - self._open.pop(connection))
        self._selector.unregister(connection)
        connection.close()
