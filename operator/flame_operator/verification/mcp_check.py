"""Checks whether one server answers, by plain MCP over HTTP; the server may be malicious."""

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version as installed_version
from typing import Any, Self

import aiohttp

from flame_operator.formats.text import plain
from flame_operator.resource.kinds import MANAGER
from flame_operator.verification.verdict import (
    MAX_EXCERPT,
    Finding,
    Target,
    Verdict,
    index_info,
    protocol_version,
    server_info,
)

PROTOCOL_VERSION = "2025-11-25"
"""The revision of MCP that the probe offers.

It is the newest one with a handshake, and servers with newer revisions still answer it.
"""
TOOL = "get_flame_knowledge"
MAX_BODY = 256 * 1024
TIMEOUT_SECONDS = 10.0

_JSON = "application/json"
_EVENTS = "text/event-stream"
_HEADERS = {
    "User-Agent": MANAGER,
    "Accept": f"{_JSON}, {_EVENTS}",
    # Without compression, a small response can't expand into a huge one.
    "Accept-Encoding": "identity",
}
_CLIENT = {"name": MANAGER, "version": installed_version("flame-mcp-operator")}
_READINESS = "GET /health/ready"
_HANDSHAKE = "The MCP handshake"
_TOOLS = "The list of tools"
_CANARY = "The canary query"
_NO_TOKEN = "A query without a token"  # noqa: S105 - no secret
_TOO_BUSY = "the rate limit refuses it (429): set search.rateLimit.burst to 5 or more"


class _Failure(Exception):  # noqa: N818 - what the check found, not an error of ours
    """The server doesn't answer as it should; the text tells why, and is the same for the same cause."""


class McpCheck:
    """Checks a server through its Service: its index, the handshake, its tools, and the canary query.

    With authentication, it checks only the index, and that the server asks for a token.

    Each check has a connection of its own, so that several checks reach different pods. The requests of a
    check aren't a session: any pod has to be able to answer any of them.

    Args:
        timeout_seconds: How long a whole check may take.
    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds

    async def __call__(self, target: Target) -> Verdict:
        """Check a target within the timeout; whatever the server does, the result is a verdict."""
        exchange = _Exchange(target)
        try:
            async with asyncio.timeout(self._timeout), exchange:
                return await (_ask(exchange) if target.auth == "None" else _ask_without_token(exchange))
        except _Failure as failure:
            cause = str(failure)
        except TimeoutError:
            cause = f"no complete answer within {self._timeout:g} seconds"
        except (aiohttp.ClientError, OSError) as error:
            cause = _in_words(error)
        return _not_answering(f"{exchange.step} failed: {cause}.")


async def _ask(exchange: "_Exchange") -> Verdict:
    target = exchange.target
    index = index_info(await exchange.readiness())
    initialized = await exchange.call(
        _HANDSHAKE,
        "initialize",
        {
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": {},
            "clientInfo": _CLIENT,
        },
    )
    exchange.protocol_version = protocol_version(initialized)
    listed = await exchange.call(_TOOLS, "tools/list", {})
    server = server_info(initialized, listed.get("tools"))
    found = _results(await exchange.call(_CANARY, "tools/call", _query(target)))
    if found < target.min_results:
        message = (
            f"The canary query found {found} of the {target.min_results} results that "
            "verification.minResults asks for. Check the index, or choose another verification.query."
        )
        return Verdict(False, False, Finding.TOO_FEW_RESULTS, message, server, index)
    message = "The MCP handshake and the canary query were answered."
    return Verdict(True, False, Finding.ANSWERING, message, server, index)


async def _ask_without_token(exchange: "_Exchange") -> Verdict:
    """Check a server with authentication: without a token, the operator can only check that one is needed."""
    target = exchange.target
    index = index_info(await exchange.readiness())
    status = await exchange.status(_NO_TOKEN, "tools/call", _query(target))
    if status == 200:
        return _not_answering(
            f"The server answers without a token: auth.type is {target.auth}, and it doesn't enforce it."
        )
    if status != 401:
        raise _unexpected(status)
    message = f"The server asks for a token, as auth.type is {target.auth}; the canary query would need one."
    return Verdict(True, True, Finding.ANSWERING_AUTH_REQUIRED, message, None, index)


def _query(target: Target) -> dict[str, Any]:
    return {"name": TOOL, "arguments": {"query": target.query, "limit": target.min_results}}


def _results(answer: dict[str, Any]) -> int:
    """The number of results in the answer to a tool call."""
    if answer.get("isError"):
        content = answer.get("content")
        first = content[0] if isinstance(content, list) and content else None
        text = plain(first.get("text") if isinstance(first, dict) else None, MAX_EXCERPT)
        raise _Failure(f"the tool reports the error '{text or 'no message'}'")
    structured = answer.get("structuredContent")
    results = structured.get("results") if isinstance(structured, dict) else None
    if not isinstance(results, list):
        raise _Failure("the tool returns no structured results")
    return len(results)


class _Exchange:
    """The requests of one check, on one connection."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.step = _READINESS
        self.protocol_version = ""
        self._calls = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**_HEADERS, "Host": self.target.host},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def readiness(self) -> object:
        """Request the readiness endpoint; returns its answer's JSON value, or None when it isn't JSON."""
        request = self._session.get(f"{self.target.url}/health/ready", allow_redirects=False)
        async with request as response:
            if response.status != 200:
                raise _unexpected(response.status)
            return _parsed(await _body(response))

    async def call(self, step: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Make a JSON-RPC call; returns its result.

        Args:
            step: The name of the step, for messages.
            method: The method.
            params: Its parameters.

        Raises:
            _Failure: The answer isn't a result.
        """
        async with self._post(step, method, params) as response:
            if response.status == 401:
                raise _Failure("the server asks for a token (401), although auth.type is None")
            if response.status != 200:
                raise _unexpected(response.status)
            body = await _body(response)
            messages = _events(body) if response.content_type == _EVENTS else [body]
            return _result(messages, self._calls)

    async def status(self, step: str, method: str, params: dict[str, Any]) -> int:
        """Make a JSON-RPC call; returns the HTTP status of the answer."""
        async with self._post(step, method, params) as response:
            return response.status

    def _post(
        self, step: str, method: str, params: dict[str, Any]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        self.step = step
        self._calls += 1
        headers = {"MCP-Protocol-Version": self.protocol_version} if self.protocol_version else {}
        body = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}
        return self._session.post(f"{self.target.url}/mcp", json=body, headers=headers, allow_redirects=False)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise _Failure(f"the server's answer is larger than {MAX_BODY // 1024} KiB")
    return bytes(body)


def _events(stream: bytes) -> list[bytes]:
    """The data of each server-sent event in a stream."""
    events: list[list[bytes]] = [[]]
    for line in stream.splitlines():
        if not line:
            events.append([])
        elif line.startswith(b"data:"):
            events[-1].append(line.removeprefix(b"data:"))
    return [b"\n".join(lines) for lines in events if lines]


def _result(messages: Sequence[bytes], call: int) -> dict[str, Any]:
    """The result of the call with the number `call`; other messages may come before it."""
    for message in map(_parsed, messages):
        if not isinstance(message, dict) or message.get("id") != call:
            continue
        error, result = message.get("error"), message.get("result")
        if isinstance(error, dict):
            text = plain(error.get("message"), MAX_EXCERPT)
            raise _Failure(f"the server reports the error '{text or 'no message'}'")
        if isinstance(result, dict):
            return result
    raise _Failure("the server's answer isn't MCP")


def _parsed(text: bytes) -> object:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found


def _unexpected(status: int) -> _Failure:
    if status == 429:
        return _Failure(_TOO_BUSY)
    if 300 <= status < 400:
        return _Failure(f"the server redirects it (HTTP status {status}), and redirects aren't followed")
    return _Failure(f"the server answers with HTTP status {status}")


def _not_answering(message: str) -> Verdict:
    return Verdict(False, False, Finding.NOT_ANSWERING, message)


def _in_words(error: Exception) -> str:
    """The cause of a connection error, without the addresses and other details that such errors quote."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, aiohttp.ClientResponseError):
        return "the server's answer isn't HTTP"
    return "the connection was lost"
