"""The server's listener: uvicorn, with bounds on the connections whose clients are slow or never finish."""

import asyncio
import re
import socket
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from flame_server.serving.edge.limits import BODY_SECONDS, MAX_HEADER_BYTES, MAX_HEADERS
from flame_server.serving.listeners.crowd import MAX_CONNECTIONS, Crowd, Doing
from flame_server.serving.metrics import Metrics

HEAD_SECONDS = 5.0
IDLE_SECONDS = 5.0
# The check of bodies answers 408 first; this is for clients that were refused earlier and go on sending.
REQUEST_SECONDS = BODY_SECONDS + 2
WRITE_SECONDS = 10.0
_LINGER_SECONDS = 0.2
# Bodies in smaller parts than a network ever makes cost more than their bytes.
MAX_PARTS = 4_096
# One connection's turn on the event loop: asyncio would read 256 KiB at once.
_READ_BYTES = 16_384
# Connections accepted in one turn of the event loop; the kernel keeps many more waiting.
_ACCEPTED_AT_ONCE = 32
KEPT_WAITING = 2_048
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_LINES = MAX_HEADERS + 2
_TOO_LARGE = "the head is too large"
_TOO_SLOW = "the request did not arrive in time"


class BoundedHttp(h11.Connection):
    """Refuses a head that is too large before it is parsed, and a body in too many parts."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEADER_BYTES)
        self._parts = 0

    def next_event(self) -> Any:  # noqa: ANN401 - h11 returns types as well as events
        """See `h11.Connection`."""
        if self.their_state is h11.IDLE:
            self._parts = 0
            self._check_head(self.trailing_data[0])
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise h11.RemoteProtocolError("the body has too many parts")
        return event

    @staticmethod
    def _check_head(data: bytes) -> None:
        end = _END_OF_HEAD.search(data, 0, MAX_HEADER_BYTES)
        size = end.start() if end else len(data)
        if size >= MAX_HEADER_BYTES or data.count(b"\n", 0, size) > _LINES:
            raise h11.RemoteProtocolError(_TOO_LARGE, error_status_hint=431)


class BoundedConnection(H11Protocol):
    """A connection that is closed when its client is too slow, or when there are too many of its kind.

    A head has 5 s from the connection's first moment, or from the first byte of each further request. A body
    has 12 s more. A client that doesn't read its answer is given up after 10 s without progress.
    """

    crowd: Crowd

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = BoundedHttp()
        self._refused = False
        self._step: tuple[str, object] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        # Of the selector's transports; others would read larger parts, which costs fairness and nothing else.
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        if self.crowd.enter(self):
            self._watch()
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.crowd.leave(self)
        for timer in (self._deadline, self._write_deadline):
            if timer:
                timer.cancel()
        super().connection_lost(exc)
        # Also after an error of the network, where uvicorn leaves its timer running.
        self._unset_keepalive_if_required()

    def abort(self) -> None:
        """See `Member`."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._refused:
            super().data_received(data)

    def handle_events(self) -> None:
        """See `H11Protocol`."""
        if not self._refused and not self.transport.is_closing():
            super().handle_events()
            self._watch()

    def on_response_complete(self) -> None:
        """See `H11Protocol`."""
        super().on_response_complete()
        self._watch()
        self._expect_reading()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._watch()
        self._expect_reading()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._watch()
        self._expect_reading()

    def send_400_response(self, msg: str) -> None:
        """See `H11Protocol`: 431 where the head was too large."""
        status = 400
        if self.conn.their_state is h11.IDLE:
            status, msg = 431, f"the limit is {MAX_HEADER_BYTES} bytes in {MAX_HEADERS} headers"
        self._refuse(status, msg)

    def _watch(self) -> None:
        """Sets the deadline for what the client has to do now."""
        step, seconds, doing = self._now()
        if self._step == (step, self.cycle):
            return
        self._step = step, self.cycle
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        if seconds:
            self._deadline = self.loop.call_later(seconds, self._too_late)
        self.crowd.move(self, doing)

    def _now(self) -> tuple[str, float, Doing]:
        state = self.conn.their_state
        if self.transport.is_closing():
            return "closing", WRITE_SECONDS, "idle"
        if state is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0]):
            return "head", HEAD_SECONDS, "unfinished"
        if state is h11.SEND_BODY:
            return "body", REQUEST_SECONDS, "unfinished"
        if self.flow.write_paused:
            return "unread", 0, "idle"
        if self.cycle is not None and not self.cycle.response_complete:
            return "answer", 0, "answering"
        return "idle", IDLE_SECONDS, "idle"

    def _too_late(self) -> None:
        self._deadline = None
        match self._step:
            case ("head", _):
                if self.conn.trailing_data[0] and not self.flow.write_paused:
                    self._refuse(408, _TOO_SLOW)
                self.crowd.give_up(self, "head")
            case ("body", _):
                self.crowd.give_up(self, "body")
            case ("closing", _):
                self.crowd.give_up(self, "write")
            case _:
                self.timeout_keep_alive_handler()
                self._watch()

    def _expect_reading(self) -> None:
        if self._write_deadline:
            self._write_deadline.cancel()
            self._write_deadline = None
        if self.transport.get_write_buffer_size():
            self._write_deadline = self.loop.call_later(WRITE_SECONDS, self._unread)

    def _unread(self) -> None:
        self._write_deadline = None
        if self.transport.get_write_buffer_size():
            self.crowd.give_up(self, "write")

    def _refuse(self, status: int, text: str) -> None:
        """Answers a request that cannot be read, and closes the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(text))),
                ("Connection", "close"),
            ]
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=text.encode()),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is None or self.cycle.response_complete:
            # What the client still sends is read and dropped: left unread, it would take the answer with it.
            self._refused = True
            self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
        self._expect_reading()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, members: Crowd) -> None:
        super().__init__(config)
        self._crowd = members

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # asyncio uses one number for both: how many it accepts in a turn, and how many the kernel keeps.
        for listener in sockets or ():
            listener.listen(KEPT_WAITING)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._crowd.let_nobody_in()
        await super().shutdown(sockets)


def run_server(app: ASGIApp, listeners: list[socket.socket], metrics: Metrics, grace_seconds: int) -> None:
    """Serves until SIGTERM or SIGINT; then finishes requests in flight, for at most `grace_seconds`."""
    members = Crowd(MAX_CONNECTIONS, metrics.gave_up)
    metrics.count_connections(lambda: len(members))

    class Connection(BoundedConnection):
        crowd = members

    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", Connection),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        backlog=_ACCEPTED_AT_ONCE,
        timeout_keep_alive=int(IDLE_SECONDS),
        timeout_graceful_shutdown=grace_seconds,
    )
    _Server(config, members).run(sockets=listeners)
