"""Sends requests to the Kubernetes API, with credentials, deadlines, retries and a bound on concurrency."""

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
"""How many seconds may pass between making a write and sending it.

The deadline that the API server gets with a write counts from when it arrives, so it is late by this much.
"""
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Call:
    """One request to the API; `timeout` is in seconds."""

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
        """Whether the request may change something."""
        return self.method in VERBS


class Answer(NamedTuple):
    """The API server's response; `retry_after` is in seconds."""

    status: int
    body: Manifest
    retry_after: float | None


def unlimited() -> float:
    """The limit of requests that need none: infinitely many seconds."""
    return math.inf


def verb_and_resource(call: Call) -> tuple[str, str]:
    """The verb and the resource of a request, as RBAC rules name them; never a name that a user chose."""
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
    """Sends requests to the API server, and retries those that got no usable answer.

    Args:
        configuration: Holds the API server's address, and the token for each request.
        session: The connections, from `open_session`.
        concurrency: How many requests of `request` are in flight at once; `once` isn't limited.
        metrics: Counts requests.
        sleep: Waits between attempts.
        jitter: Returns a number from 0 to 1 that spreads these waits.
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
        """Send a request, and retry it while the answer is 429, 5xx or missing.

        Args:
            call: The request.
            limit: Returns for how many seconds from now a write may still be carried out.

        Raises:
            Unavailable: There was no usable answer after `ATTEMPTS`, or there is no time left to write.
        """
        last_error = Unavailable("")
        for attempt in range(ATTEMPTS):
            if call.writes and limit() <= 0:
                raise Unavailable(f"{call}: not sent, because this process may no longer write")
            wait = min(LONGEST_DELAY, FIRST_DELAY * 2**attempt) * (0.5 + self._jitter() / 2)
            try:
                async with self._slots:
                    return await self.once(call, limit)
            except Unavailable as error:
                last_error = error
            log.debug("API request failed", call=str(call), trouble=str(last_error), attempt=attempt + 1)
            if attempt + 1 < ATTEMPTS:
                await self._sleep(max(wait, last_error.retry_after))
        raise Unavailable(f"{call}: no answer after {ATTEMPTS} attempts; the last error was: {last_error}")

    async def once(self, call: Call, limit: Callable[[], float] = unlimited) -> Answer:
        """Send a request once, without waiting for other requests.

        Args:
            call: The request.
            limit: Returns for how many seconds from now a write may still be carried out.

        Raises:
            Unavailable: The answer is 429, 5xx or missing, or there is no time left to write.
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
        # The official client's request functions aren't used: they take three times the CPU of the request.
        body = None if call.body is None else json.dumps(call.body, separators=(",", ":")).encode()
        headers = {"Content-Type": call.content_type, "Accept": call.accept}
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        seconds, query = call.timeout, call.query
        if call.writes:
            # The API server gets the same deadline, so that it doesn't later carry out what is given up here.
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
    """Whether a write that was made with a deadline of `seconds` may still be sent."""
    return limit() > max(0, seconds - MOST_SECONDS_LATE)


async def _check_at_the_last_moment(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    """Stop a write whose time has run out from being sent.

    Between making and sending, a request waits for a connection, and the whole process may be suspended.
    Despite the signal's name, aiohttp calls this before the first byte goes out, and nothing comes in
    between. It is called for requests with a body, which all our writes have.
    """
    in_time: Callable[[], bool] | None = context.trace_request_ctx
    if in_time is not None and not in_time():
        raise Unavailable("there is no time left to write")


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    # With its default threshold aiohttp rounds up to whole seconds, which is more than a Lease has to spare.
    return aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS, ceil_threshold=math.inf)


def _json(text: bytes) -> Manifest:
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = None  # for example the HTML page of a proxy
    return found if isinstance(found, dict) else {"message": text[:200].decode(errors="replace")}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None


def uses_kubeconfig() -> bool:
    """Whether to log in with a kubeconfig: when KUBECONFIG names one, or there is no service account."""
    return bool(os.environ.get("KUBECONFIG")) or not SERVICE_ACCOUNT_TOKEN.exists()


@asynccontextmanager
async def connect(
    *, concurrency: int, user_agent: str, metrics: Metrics | None = None
) -> AsyncIterator[Transport]:
    """Connect to the API of this process's cluster, or of the one that KUBECONFIG or ~/.kube/config names.

    Args:
        concurrency: How many requests may be in flight at once.
        user_agent: The `User-Agent` header of all requests.
        metrics: Counts requests.

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
    # Two more than `request` uses, so that the renewal of the Lease never waits for a connection.
    async with open_session(configuration, concurrency + 2, user_agent) as session:
        yield Transport(configuration, session, concurrency=concurrency, metrics=metrics)


def open_session(configuration: Configuration, connections: int, user_agent: str) -> aiohttp.ClientSession:
    """Open the connections for a `Transport`; they check the deadline again right before a write is sent."""
    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(_check_at_the_last_moment)
    return aiohttp.ClientSession(
        trace_configs=[trace],
        connector=aiohttp.TCPConnector(limit=connections, ssl=RESTClientObject(configuration).ssl_context),
        headers={"User-Agent": user_agent},
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=configuration.proxy,
    )
