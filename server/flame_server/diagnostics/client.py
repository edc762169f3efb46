"""Talks to a running server: asks as an MCP client, and checks its health."""

import asyncio
import os
import time
import urllib.error
import urllib.request
from typing import Any

from flame_server.errors import FlameMcpError

_TIMEOUT_SECONDS = 30.0
_HEALTH_TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 1.0


class NoAnswerError(FlameMcpError):
    """Nobody answers; trying again may help."""


def ask(
    url: str, question: str, limit: int | None, token: str | None = None, *, wait: float = 0
) -> dict[str, Any]:
    """The structured answer of `get_flame_knowledge` at `url`. Keeps trying for `wait` seconds.

    Raises:
        FlameMcpError: Nobody answers there, or the tool refuses the question.
    """
    arguments = {"query": question} | ({} if limit is None else {"limit": limit})
    deadline = time.monotonic() + wait
    while True:
        try:
            return asyncio.run(_ask(url, arguments, token))
        except NoAnswerError:
            if time.monotonic() + _PAUSE_SECONDS > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


async def _ask(url: str, arguments: dict[str, Any], token: str | None) -> dict[str, Any]:
    os.environ.setdefault("FASTMCP_LOG_ENABLED", "false")
    from fastmcp import Client  # noqa: PLC0415 - the health check must stay light
    from fastmcp.exceptions import ToolError  # noqa: PLC0415

    try:
        async with Client(url, timeout=_TIMEOUT_SECONDS, auth=token) as client:
            result = await client.call_tool("get_flame_knowledge", arguments)
    except ToolError as error:
        raise FlameMcpError(f"the server refused the question: {error}") from error
    # Connecting can fail in the client, in its HTTP library, in TLS or in the protocol; to the user it is the
    # same.
    except Exception as error:
        raise NoAnswerError(f"no answer from an MCP server at {url}: {_cause(error)}") from error
    answer = result.structured_content
    if not isinstance(answer, dict) or "results" not in answer:
        raise FlameMcpError(f"the server at {url} gave no structured answer: it is not a Flame MCP server")
    return answer


def _cause(error: BaseException) -> str:
    """The message of the innermost exception."""
    while True:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if inner is None:
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        error = inner


def check_health(port: int) -> None:
    """Asks this machine's server whether it is ready.

    Raises:
        FlameMcpError: It is not ready, or does not answer.
    """
    # A proxy in the environment must not be used for this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    problem = None
    for host in ("127.0.0.1", "[::1]"):
        url = f"http://{host}:{port}/health/ready"
        try:
            with opener.open(url, timeout=_HEALTH_TIMEOUT_SECONDS):
                return
        except (urllib.error.URLError, OSError) as error:
            problem = problem or FlameMcpError(f"{url}: {getattr(error, 'reason', error)}")
            if isinstance(error, urllib.error.HTTPError):
                break  # it has answered
    if problem is not None:
        raise problem
