"""Checks whether one server answers, by plain MCP over HTTP; the server may be malicious.

Each answer is reduced to what is kept of it before the next request is made.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version as installed_version
from typing import Any, TypeVar

from flame_operator.resource.kinds import MANAGER
from flame_operator.resource.status import IndexInfo
from flame_operator.verification.answers import Events, count_results, parsed, result
from flame_operator.verification.http_client import EVENTS, Enough, HttpClient, Response
from flame_operator.verification.verdict import (
    Failure,
    Finding,
    Target,
    Verdict,
    index_info,
    server_info,
    tool_names,
)
from flame_operator.verification.wire import HeldBytes

PROTOCOL_VERSION = "2025-11-25"
"""The revision of MCP that the probe offers.

It is the newest one with a handshake, and servers with newer revisions still answer it.
"""
TOOL = "get_flame_knowledge"
MAX_BODY = 256 * 1024
"""How many bytes the body of an answer to `tools/list` or `tools/call` may have."""
MAX_SMALL_BODY = 16 * 1024
"""How many bytes the body of any other answer may have."""
TIMEOUT_SECONDS = 10.0

_T = TypeVar("_T")
_JSON = "application/json"
_HEADERS = {
    "User-Agent": MANAGER,
    "Accept": f"{_JSON}, {EVENTS}",
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
        self._held = HeldBytes()
        self._parsing = asyncio.Lock()

    async def __call__(self, target: Target) -> Verdict:
        """Check a target within the timeout; whatever the server does, the result is a verdict."""
        overrun, deadline = False, asyncio.timeout(self._timeout)

        def give_up() -> None:
            with suppress(RuntimeError):  # the deadline is being kept already
                deadline.reschedule(asyncio.get_running_loop().time())

        client = HttpClient(target.url, {**_HEADERS, "Host": target.host}, self._held, give_up)
        exchange = _Exchange(target, client, self._parsing)
        try:
            async with deadline, client:
                return await (_ask(exchange) if target.auth == "None" else _ask_without_token(exchange))
        except Failure as failure:
            cause, overrun = str(failure), failure.overrun
        except TimeoutError:
            cause = f"no complete answer within {self._timeout:g} seconds"
        except OSError:
            cause = "the connection was lost"
        return replace(_not_answering(f"{exchange.step} failed: {cause}."), overrun=overrun)


async def _ask(exchange: "_Exchange") -> Verdict:
    target = exchange.target
    index = await exchange.readiness()
    offer = {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": _CLIENT}
    server = await exchange.call(_HANDSHAKE, "initialize", offer, server_info, MAX_SMALL_BODY)
    exchange.protocol_version = server.protocol_version
    tools = await exchange.call(_TOOLS, "tools/list", {}, tool_names, MAX_BODY)
    server = replace(server, tools=tools)
    found = await exchange.call(_CANARY, "tools/call", _query(target), count_results, MAX_BODY)
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
    index = await exchange.readiness()
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


class _Exchange:
    """The requests of one check, which all go through one client."""

    def __init__(self, target: Target, client: HttpClient, parsing: asyncio.Lock) -> None:
        self.target = target
        self.step = _READINESS
        self.protocol_version = ""
        self._client = client
        self._parsing = parsing
        self._calls = 0

    async def readiness(self) -> IndexInfo | None:
        """Request the readiness endpoint; returns what it says about the index, or None."""
        response = await self._client.request("GET", "/health/ready", most=MAX_SMALL_BODY)
        if response.status != 200:
            raise _unexpected(response.status)
        index = index_info(parsed(response.body))
        self._client.release()
        return index

    async def call(
        self,
        step: str,
        method: str,
        params: dict[str, Any],
        reduce: Callable[[dict[str, Any]], _T],
        most: int,
    ) -> _T:
        """Make a JSON-RPC call; returns what is kept of its result.

        Args:
            step: The name of the step, for messages.
            method: The method.
            params: Its parameters.
            reduce: Makes what is kept out of the result, which may be large.
            most: How many bytes the answer may have.

        Raises:
            Failure: The answer isn't a result.
        """
        events = Events(self._calls + 1)

        async def enough(piece: bytes) -> bool:
            async with self._parsing:
                await asyncio.sleep(0)
                return events.feed(piece)

        response = await self._post(step, method, params, most, enough)
        if response.status == 401:
            raise Failure("the server asks for a token (401), although auth.type is None")
        if response.status != 200:
            raise _unexpected(response.status)
        is_stream = response.content_type == EVENTS
        async with self._parsing:
            # One large answer in a turn of the event loop, however many have come.
            await asyncio.sleep(0)
            kept = reduce(events.result() if is_stream else result(response.body, self._calls))
        self._client.release()
        return kept

    async def status(self, step: str, method: str, params: dict[str, Any]) -> int:
        """Make a JSON-RPC call; returns the HTTP status of the answer."""
        return (await self._post(step, method, params, 0)).status

    async def _post(
        self, step: str, method: str, params: dict[str, Any], most: int, enough: Enough | None = None
    ) -> Response:
        self.step = step
        self._calls += 1
        headers = {"Content-Type": _JSON}
        if self.protocol_version:
            headers["MCP-Protocol-Version"] = self.protocol_version
        body = json.dumps({"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}).encode()
        return await self._client.request(
            "POST", "/mcp", headers=headers, body=body, most=most, enough=enough
        )


def _unexpected(status: int) -> Failure:
    if status == 429:
        return Failure(_TOO_BUSY)
    if 300 <= status < 400:
        return Failure(f"the server redirects it (HTTP status {status}), and redirects aren't followed")
    return Failure(f"the server answers with HTTP status {status}")


def _not_answering(message: str) -> Verdict:
    return Verdict(False, False, Finding.NOT_ANSWERING, message)
