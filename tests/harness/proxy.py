"""A proxy in front of the API server that fails as it is told.

It speaks plain HTTP to one operator and is, to the API server, the user whose certificate it holds. It runs
in a thread of its own, so that tests may be written as they like.
"""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.harness.client import tls
from tests.harness.control_plane import ControlPlane

# An object may have 1.5 MiB, and a line of a watch holds one.
_BUFFER = 4 * 2**20
_HOP = {"authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_PATH = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?"
)
_NOT_COUNTED = re.compile(r"leases|events|.*reviews")


@dataclass(frozen=True)
class Call:
    """A request of the operator."""

    method: str
    path: str
    query: dict[str, str]
    number: int | None
    """Which of its writes it is, from 1 on; None for reads, and for Leases, Events and reviews of rights."""

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("true", "1")

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and not self.is_watch and self._part("name") == ""

    @property
    def resource(self) -> str:
        """The kind's plural, with `/status` and the like."""
        subresource = self._part("subresource")
        return self._part("resource") + (f"/{subresource}" if subresource else "")

    def _part(self, name: str) -> str:
        found = _PATH.fullmatch(self.path)
        return (found[name] or "") if found else ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """Answer with an error, without asking the API server."""

    status: int
    retry_after: int | None = None

    def response(self) -> web.Response:
        reason = {401: "Unauthorized", 409: "Conflict", 410: "Expired", 429: "TooManyRequests"}.get(
            self.status, "InternalError"
        )
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after is not None else {}
        return web.json_response(failure(self.status, reason), status=self.status, headers=headers)


@dataclass(frozen=True)
class Lose:
    """Call `do` and break the connection off, before the API server is asked or after it has answered."""

    after: bool = False
    do: Callable[[Call], object] = lambda _: None


@dataclass
class Fault:
    """What is done to calls that fit, so many times; `fired` counts."""

    fits: Callable[[Call], bool]
    action: Answer | Lose
    times: int = 1
    fired: int = 0


@dataclass(eq=False)
class _Stream:
    """A watch that is open."""

    call: Call
    response: web.StreamResponse
    request: web.Request
    held: list[bytes] = field(default_factory=list)


def failure(code: int, reason: str) -> dict[str, Any]:
    """The API server's object for an error."""
    text = f"injected {code} {reason}"
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": reason,
        "code": code,
    }


class FaultProxy:
    """A running proxy; a context manager that stops it.

    Args:
        plane: What is behind it.
        user: The user that the operator is to the API server (`ControlPlane.identity`).
        folder: For the operator's kubeconfig.
    """

    def __init__(self, plane: ControlPlane, user: str, folder: Path) -> None:
        plane.identity(user)
        self._upstream = plane.endpoints.server
        self._tls = tls(plane.state / "pki", f"user-{user}")
        self.kubeconfig = folder / f"{user}.proxy.kubeconfig"
        self.writes: list[Call] = []
        self._faults: list[Fault] = []
        self._streams: set[_Stream] = set()
        self._holding: Callable[[dict[str, Any]], bool] | None = None
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"proxy of {user}")

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def add(self, fault: Fault) -> Fault:
        """From now on fail so; of two faults that fit, the older one acts."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Be well again."""
        self._faults.clear()

    @property
    def watched(self) -> set[str]:
        """The plurals whose watches are open."""
        return {stream.call.resource for stream in list(self._streams)}

    def end_watches(self, last: bytes = b"", *, clean: bool = True) -> int:
        """End all open watches, after a last piece of stream, as the API server does or as a cut line does.

        Returns:
            How many there were.
        """
        return self._in_loop(self._end(last, clean=clean))

    def hold(self, fits: Callable[[dict[str, Any]], bool] | None) -> None:
        """Keep back watch events that fit, as if the API server had not sent them; with None, never again."""
        self._holding = fits

    def release(self) -> int:
        """Hand on what was kept back, in order; returns how many events that is."""
        return self._in_loop(self._release())

    def _in_loop(self, work: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.close()

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=_BUFFER)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        async with aiohttp.ClientSession(
            connector=connector, read_bufsize=_BUFFER, timeout=aiohttp.ClientTimeout(), auto_decompress=False
        ) as self._session:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._write_kubeconfig(runner.addresses[0][1])
            self._started.set()
            await self._stopping.wait()
            await self._end(b"", clean=True)
            await runner.cleanup()

    def _write_kubeconfig(self, port: int) -> None:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "proxy", "user": {"token": "none"}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        }
        self.kubeconfig.write_text(yaml.safe_dump(content))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = self._numbered(request)
        action = self._due(call)
        match action:
            case Answer():
                return action.response()
            case Lose(after=False):
                return await self._lose(call, request, action)
        try:
            async with self._session.request(
                request.method,
                URL(f"{self._upstream}{request.raw_path}", encoded=True),
                data=await request.read() or None,
                headers=_headers(request.headers.items()),
            ) as upstream:
                if call.is_watch and upstream.status == 200:
                    return await self._watch(call, request, upstream)
                body = await upstream.read()
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text=str(error)) from error
        if isinstance(action, Lose):
            return await self._lose(call, request, action)
        return web.Response(status=upstream.status, body=body, headers=_headers(upstream.headers.items()))

    def _numbered(self, request: web.Request) -> Call:
        call = Call(request.method, request.path, dict(request.query), None)
        if call.method == "GET" or _NOT_COUNTED.fullmatch(call.resource):
            return call
        self.writes.append(Call(call.method, call.path, call.query, len(self.writes) + 1))
        return self.writes[-1]

    def _due(self, call: Call) -> Answer | Lose | None:
        for fault in self._faults:
            if fault.fired < fault.times and fault.fits(call):
                fault.fired += 1
                return fault.action
        return None

    async def _lose(self, call: Call, request: web.Request, action: Lose) -> web.Response:
        await asyncio.to_thread(action.do, call)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _watch(
        self, call: Call, request: web.Request, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        stream = _Stream(call, response, request)
        self._streams.add(stream)
        try:
            async for line in upstream.content:
                if self._holding is not None and self._holding(json.loads(line)):
                    stream.held.append(line)
                else:
                    await response.write(line)
        except (aiohttp.ClientError, ConnectionError):
            pass  # one of the two ends has had enough
        finally:
            self._streams.discard(stream)
        return response

    async def _end(self, last: bytes, *, clean: bool) -> int:
        streams = list(self._streams)
        for stream in streams:
            with contextlib.suppress(ConnectionError):  # the operator may have gone
                if last:
                    await stream.response.write(last)
                if clean:
                    await stream.response.write_eof()
            stream.request.task.cancel()
            if stream.request.transport is not None:
                stream.request.transport.close()
        return len(streams)

    async def _release(self) -> int:
        self._holding, released = None, 0
        for stream in list(self._streams):
            released += len(stream.held)
            for line in stream.held:
                await stream.response.write(line)
            stream.held.clear()
        return released


def _headers(pairs: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in pairs if name.lower() not in _HOP)
