"""Requests to the Kubernetes API: who sends them, how long one may take, and when it is sent again."""

import asyncio
import json
import math
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
import structlog
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from flame_operator.errors import Unavailable, UserError
from flame_operator.resource.kinds import Manifest
from flame_operator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
ATTEMPTS = 6
FIRST_DELAY = 0.25
LONGEST_DELAY = 8.0
CONNECT_SECONDS = 5.0
MOST_SECONDS_LATE = 1.0
"""How much later than made a write may be sent: by so much its bound at the API server is too late."""
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Call:
    """One request. `timeout` is in seconds."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Manifest | list[Manifest] | None = None
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout: float = 30.0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method in VERBS


class Answer(NamedTuple):
    """What the API server said; `retry_after` is in seconds."""

    status: int
    body: Manifest
    retry_after: float | None


def unlimited() -> float:
    """The limit of requests that need none."""
    return math.inf


def verb_and_resource(call: Call) -> tuple[str, str]:
    """What a request does to what, in the words of RBAC rules; never a name that somebody chose."""
    parts = call.path.strip("/").split("/")
    # api/VERSION/... or apis/GROUP/VERSION/..., with or without namespaces/NAMESPACE before the resource.
    parts = parts[2 if parts[0] == "api" else 3 :]
    if parts[0:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    if not parts:
        return "get", "discovery"
    verb = VERBS.get(call.method) or ("get" if len(parts) > 1 else "list")
    return verb, "/".join((parts[0], *parts[2:3]))


class Transport:
    """Sends requests; at most `concurrency` of those that `request` takes are under way at once.

    Args:
        configuration: Where the API server is, and each request's token.
        session: The connections, of `open_session`.
        concurrency: See above.
        metrics: Counts requests.
        sleep: Waits between tries.
        jitter: A number from 0 to 1 that spreads these waits.
    """

    def __init__(  # noqa: PLR0913 - two are for tests
        self,
        configuration: Configuration,
        session: aiohttp.ClientSession,
        *,
        concurrency: int,
        metrics: Metrics | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._configuration = configuration
        self._session = session
        self._slots = asyncio.Semaphore(concurrency)
        self._metrics = metrics or Metrics()
        self._sleep = sleep
        self._jitter = jitter
        self._answered_at = -math.inf

    def silent_for(self) -> float:
        """Seconds since the API server last gave a usable answer."""
        return time.monotonic() - self._answered_at

    async def request(self, call: Call, limit: Callable[[], float] = unlimited) -> Answer:
        """Send, and send again while the answer is 429, 5xx or none at all.

        Args:
            call: The request.
            limit: For how many seconds from now a write may still be carried out.

        Raises:
            Unavailable: Still no answer after `ATTEMPTS`, or no time is left to write.
        """
        trouble = Unavailable("")
        for attempt in range(ATTEMPTS):
            if call.writes and limit() <= 0:
                raise Unavailable(f"{call}: not sent, as this process may not write any more")
            wait = min(LONGEST_DELAY, FIRST_DELAY * 2**attempt) * (0.5 + self._jitter() / 2)
            try:
                async with self._slots:
                    return await self.once(call, limit)
            except Unavailable as error:
                trouble = error
            log.debug("API request failed", call=str(call), trouble=str(trouble), attempt=attempt + 1)
            if attempt + 1 < ATTEMPTS:
                await self._sleep(max(wait, trouble.retry_after))
        raise Unavailable(f"{call}: no answer after {ATTEMPTS} attempts, the last was: {trouble}")

    async def once(self, call: Call, limit: Callable[[], float] = unlimited) -> Answer:
        """Send, once and without waiting for others.

        Raises:
            Unavailable: The answer is 429, 5xx or none at all, or no time is left to write.
        """
        try:
            answer = await self._send(call, limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{type(error).__name__} {error}".strip()) from error
        if answer.status == 429 or answer.status >= 500:
            message = f"{answer.status} {answer.body.get('message', '')}".strip()
            raise Unavailable(message, retry_after=answer.retry_after or 0)
        self._answered_at = time.monotonic()
        return answer

    async def _send(self, call: Call, limit: Callable[[], float]) -> Answer:
        # Not through the client's own request functions: they take three times the CPU of the request itself.
        body = None if call.body is None else json.dumps(call.body, separators=(",", ":")).encode()
        headers = {"Content-Type": call.content_type, "Accept": call.accept}
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        seconds, query = call.timeout, call.query
        if call.writes:
            # The API server gets the same bound, so that it doesn't carry out later what is given up here.
            seconds = min(seconds, max(limit(), 0.001))
            query = {**query, "timeout": f"{max(1, int(seconds * 1000))}ms"}
        begun, code = time.monotonic(), "none"
        try:
            async with self._session.request(
                call.method,
                self._configuration.host + call.path,
                params=query,
                data=body,
                headers=headers,
                timeout=_timeout(seconds),
                server_hostname=self._configuration.tls_server_name,
                allow_redirects=False,
                trace_request_ctx=partial(_in_time, limit, seconds) if call.writes else None,
            ) as response:
                text = await response.read()
                code = str(response.status)
        finally:
            self._metrics.requested(*verb_and_resource(call), code, time.monotonic() - begun)
        return Answer(response.status, _json(text), _seconds(response.headers.get("Retry-After")))


def _in_time(limit: Callable[[], float], seconds: float) -> bool:
    """Whether a write that was to take `seconds` at most may still be sent."""
    return limit() > max(0, seconds - MOST_SECONDS_LATE)


async def _check_at_the_last_moment(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    """Keep a write from being sent after its time.

    Between its making and its sending a request waits for a connection, and the whole process may stand
    still. aiohttp calls this, whatever the name of the signal says, before the first byte goes out; nothing
    comes in between. It is called for requests with a body, which all our writes are.
    """
    in_time: Callable[[], bool] | None = context.trace_request_ctx
    if in_time is not None and not in_time():
        raise Unavailable("no time is left to write")


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    # With the default threshold aiohttp rounds up to whole seconds, which is more than a lease has to spare.
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS, ceil_threshold=math.inf)


def _json(text: bytes) -> Manifest:
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = None  # a proxy's page, for example
    return found if isinstance(found, dict) else {"message": text[:200].decode(errors="replace")}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None


def uses_kubeconfig() -> bool:
    """Whether to log in with a kubeconfig: when one is named, and wherever there is no service account."""
    return bool(os.environ.get("KUBECONFIG")) or not SERVICE_ACCOUNT_TOKEN.exists()


@asynccontextmanager
async def connect(
    *, concurrency: int, user_agent: str, metrics: Metrics | None = None
) -> AsyncIterator[Transport]:
    """The API of the cluster that this process runs in, or that KUBECONFIG or ~/.kube/config names.

    Raises:
        UserError: There are no usable credentials.
    """
    configuration = Configuration()
    try:
        if uses_kubeconfig():
            await config.load_kube_config(  # type: ignore[no-untyped-call]  # the client's own gap
                client_configuration=configuration, persist_config=False
            )
        else:
            config.load_incluster_config(  # type: ignore[no-untyped-call]  # the client's own gap
                client_configuration=configuration
            )
    except (config.ConfigException, OSError) as error:
        raise UserError(
            f"can't log in to a cluster: {error}. Set KUBECONFIG, or run in a pod with a service account"
        ) from error
    # More than `request` uses, so that the renewal of the lease never waits for a connection.
    async with open_session(configuration, concurrency + 2, user_agent) as session:
        yield Transport(configuration, session, concurrency=concurrency, metrics=metrics)


def open_session(configuration: Configuration, connections: int, user_agent: str) -> aiohttp.ClientSession:
    """Connections for a `Transport`; they look at the clock once more before a write goes out."""
    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(_check_at_the_last_moment)
    return aiohttp.ClientSession(
        trace_configs=[trace],
        connector=aiohttp.TCPConnector(limit=connections, ssl=RESTClientObject(configuration).ssl_context),
        headers={"User-Agent": user_agent},
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=configuration.proxy,
    )
