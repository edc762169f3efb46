"""Sends requests to the Kubernetes API, with credentials, deadlines, retries and a bound on concurrency."""

import asyncio
import json
import math
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import structlog
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from flame_operator.api.calls import Answer, Call, verb_and_resource
from flame_operator.api.reading import Line, Lines, parsed, read_at_most
from flame_operator.errors import TooLarge, Unavailable, UserError
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
SILENT_SECONDS = 70.0
"""How long a watch may send nothing: the API server sends a bookmark about every minute."""


def unlimited() -> float:
    """The limit of requests that need none: infinitely many seconds."""
    return math.inf


class StreamRefused(Exception):  # noqa: N818 - what the API server did
    """The API server answered a request for a stream with an ordinary answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP status {answer.status}")
        self.answer = answer


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
            TooLarge: The answer has more bytes than the request allows.
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
            TooLarge: The answer has more bytes than the request allows.
            Unavailable: The answer is 429, 5xx or missing, or there is no time left to write.
        """
        try:
            answer = await self._send(call, limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unavailable(error) from error
        return self._usable(answer)

    async def stream(self, call: Call) -> AsyncIterator[Line]:
        """Send a request whose answer is a stream, and iterate over its lines until it ends.

        A last piece without an end of line is left out: the rest of it was lost.

        Raises:
            StreamRefused: The answer isn't a stream.
            Unavailable: The answer is 429, 5xx or missing, or the stream broke off.
        """
        lines = Lines()
        try:
            async with self._session.get(
                self._configuration.host + call.path,
                params=call.query,
                headers=await self._headers(call),
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
                server_hostname=self._configuration.tls_server_name,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise StreamRefused(self._usable(await _answer(response, call)))
                async for chunk in response.content.iter_any():
                    for line in lines.feed(chunk):
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unavailable(error) from error

    def _usable(self, answer: Answer) -> Answer:
        if not answer.is_final:
            message = f"{answer.status} {answer.body.get('message', '')}".strip()
            raise Unavailable(message, retry_after=answer.retry_after or 0)
        self._answered_at = time.monotonic()
        return answer

    async def _headers(self, call: Call) -> dict[str, str]:
        headers = {"Content-Type": call.content_type, "Accept": call.accept}
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {**headers, "Authorization": token} if token else headers

    async def _send(self, call: Call, limit: Callable[[], float]) -> Answer:
        # The official client's request functions aren't used: they take three times the CPU of the request.
        body = None if call.body is None else json.dumps(call.body, separators=(",", ":")).encode()
        headers = await self._headers(call)
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
                answer = await _answer(response, call)
                code = str(response.status)
        except TooLarge:
            code = "large"
            raise
        finally:
            self._metrics.requested(*verb_and_resource(call), code, time.monotonic() - begun)
        return answer


async def _answer(response: aiohttp.ClientResponse, call: Call) -> Answer:
    text = await read_at_most(response.content.iter_any(), call.most, str(call))
    parse = call.parse if response.status < 300 else parsed
    return Answer(response.status, parse(text), _seconds(response.headers.get("Retry-After")), len(text))


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(f"{type(error).__name__} {error}".strip())


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
    # No bound on connections: `request` has its own, each watch has one, and the Lease never waits for any.
    async with open_session(configuration, 0, user_agent) as session:
        yield Transport(configuration, session, concurrency=concurrency, metrics=metrics)


def open_session(configuration: Configuration, connections: int, user_agent: str) -> aiohttp.ClientSession:
    """Open the connections for a `Transport`; they check the deadline again right before a write is sent.

    Args:
        configuration: Holds the API server's address and certificates.
        connections: How many there may be at once; 0 means any number.
        user_agent: The `User-Agent` header of all requests.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(_check_at_the_last_moment)
    return aiohttp.ClientSession(
        trace_configs=[trace],
        connector=aiohttp.TCPConnector(limit=connections, ssl=RESTClientObject(configuration).ssl_context),
        headers={"User-Agent": user_agent},
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=configuration.proxy,
    )
