"""Asks one server whether it answers: plain MCP over HTTP, to a pod that may answer anything."""

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
"""The revision that is offered: the newest with a handshake, which servers of newer ones still answer."""
TOOL = "get_flame_knowledge"
MAX_BODY = 256 * 1024
TIMEOUT_SECONDS = 10.0

_JSON = "application/json"
_EVENTS = "text/event-stream"
_HEADERS = {
    "User-Agent": MANAGER,
    "Accept": f"{_JSON}, {_EVENTS}",
    # Nothing has to be unpacked, so nothing can grow on the way.
    "Accept-Encoding": "identity",
}
_CLIENT = {"name": MANAGER, "version": installed_version("flame-mcp-operator")}
_READINESS = "GET /health/ready"
_HANDSHAKE = "The MCP handshake"
_TOOLS = "The list of tools"
_CANARY = "The canary query"
_NO_TOKEN = "A query without a token"  # noqa: S105 - no secret
_TOO_BUSY = "it is refused as one too many (429): set search.rateLimit.burst to 5 or more"


class _Failure(Exception):  # noqa: N818 - what the check found, not an error of ours
    """The server doesn't answer as it should; the text says how, in words that stay the same."""


class McpProbe:
    """Checks a server through its Service: index, handshake, tools, canary query; or that it wants a token.

    Each check has a connection of its own, so that other checks reach other pods. Requests of a check are not
    a session: any pod has to answer any of them.
    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds

    async def __call__(self, target: Target) -> Verdict:
        """The verdict on a target, within the timeout. Whatever the server does ends in a verdict."""
        exchange = _Exchange(target)
        try:
            async with asyncio.timeout(self._timeout), exchange:
                return await (_ask(exchange) if target.auth == "None" else _ask_without_token(exchange))
        except _Failure as failure:
            trouble = str(failure)
        except TimeoutError:
            trouble = f"no whole answer within {self._timeout:g} seconds"
        except (aiohttp.ClientError, OSError) as error:
            trouble = _in_words(error)
        return _not_answering(f"{exchange.step} failed: {trouble}.")


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
            "verification.minResults asks for. Look at the index, or choose another verification.query."
        )
        return Verdict(False, False, Finding.TOO_FEW_RESULTS, message, server, index)
    message = "The MCP handshake and the canary query were answered."
    return Verdict(True, False, Finding.ANSWERING, message, server, index)


async def _ask_without_token(exchange: "_Exchange") -> Verdict:
    """The operator has no token, so that all it can see is that nobody gets in without one."""
    target = exchange.target
    index = index_info(await exchange.readiness())
    status = await exchange.status(_NO_TOKEN, "tools/call", _query(target))
    if status == 200:
        return _not_answering(
            f"It answers whoever asks, although auth.type is {target.auth}: the server doesn't enforce it."
        )
    if status != 401:
        raise _unexpected(status)
    message = f"It asks for a token, as auth.type {target.auth} says; the canary query would need one."
    return Verdict(True, True, Finding.ANSWERING_AUTH_REQUIRED, message, None, index)


def _query(target: Target) -> dict[str, Any]:
    return {"name": TOOL, "arguments": {"query": target.query, "limit": target.min_results}}


def _results(answer: dict[str, Any]) -> int:
    """How many results a tool call gave."""
    if answer.get("isError"):
        content = answer.get("content")
        first = content[0] if isinstance(content, list) and content else None
        text = plain(first.get("text") if isinstance(first, dict) else None, MAX_EXCERPT)
        raise _Failure(f"the tool says '{text or 'nothing'}'")
    structured = answer.get("structuredContent")
    results = structured.get("results") if isinstance(structured, dict) else None
    if not isinstance(results, list):
        raise _Failure("the tool gives no structured results")
    return len(results)


class _Exchange:
    """The requests of one check."""

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
        """The answer of the readiness endpoint."""
        request = self._session.get(f"{self.target.url}/health/ready", allow_redirects=False)
        async with request as response:
            if response.status != 200:
                raise _unexpected(response.status)
            return _parsed(await _body(response))

    async def call(self, step: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of a JSON-RPC call."""
        async with self._post(step, method, params) as response:
            if response.status == 401:
                raise _Failure("it asks for a token (401), although auth.type is None")
            if response.status != 200:
                raise _unexpected(response.status)
            body = await _body(response)
            messages = _events(body) if response.content_type == _EVENTS else [body]
            return _result(messages, self._calls)

    async def status(self, step: str, method: str, params: dict[str, Any]) -> int:
        """The HTTP status of a JSON-RPC call."""
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
            raise _Failure(f"it answers more than {MAX_BODY // 1024} KiB")
    return bytes(body)


def _events(stream: bytes) -> list[bytes]:
    """The data of the server-sent events of a stream."""
    events: list[list[bytes]] = [[]]
    for line in stream.splitlines():
        if not line:
            events.append([])
        elif line.startswith(b"data:"):
            events[-1].append(line.removeprefix(b"data:"))
    return [b"\n".join(lines) for lines in events if lines]


def _result(messages: Sequence[bytes], call: int) -> dict[str, Any]:
    """The result of the call of that number; other messages may come before it."""
    for message in map(_parsed, messages):
        if not isinstance(message, dict) or message.get("id") != call:
            continue
        error, result = message.get("error"), message.get("result")
        if isinstance(error, dict):
            raise _Failure(f"the server says '{plain(error.get('message'), MAX_EXCERPT) or 'nothing'}'")
        if isinstance(result, dict):
            return result
    raise _Failure("what it answers isn't MCP")


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
        return _Failure(f"it is sent elsewhere (HTTP status {status}), which isn't followed")
    return _Failure(f"it answers with HTTP status {status}")


def _not_answering(message: str) -> Verdict:
    return Verdict(False, False, Finding.NOT_ANSWERING, message)


def _in_words(error: Exception) -> str:
    """What went wrong, without addresses and whatever else such errors quote."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, aiohttp.ClientResponseError):
        return "what it answers isn't HTTP"
    return "the connection broke off"
