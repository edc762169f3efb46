"""Around every call of a tool: mistakes in plain words, and counted outcomes."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pydantic
from fastmcp.exceptions import ToolError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from mcp.types import CallToolRequestParams

from flame_server.metrics import Metrics
from flame_server.tools.arguments import renamed

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class CountedCalls(Middleware):
    """Counts calls by outcome: `answered`, `degraded`, `refused` or `failed`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """See `Middleware`."""
        started = time.monotonic()
        outcome = "failed"
        try:
            result = await call_next(context)
            outcome = "degraded" if (result.structured_content or {}).get("degraded") else "answered"
        except ToolError as error:
            # One with a cause hides a failure of ours; the others explain a caller's mistake.
            outcome = "failed" if error.__cause__ else "refused"
            raise
        finally:
            self._metrics.called(outcome, time.monotonic() - started)
        return result


class PlainArguments(Middleware):
    """Arguments under the names that models use, and what is wrong with them in one line, without values."""

    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """See `Middleware`."""
        known = await self._known(context)
        called = context.message
        if known and called.arguments:
            called = called.model_copy(update={"arguments": renamed(called.arguments, known)})
        try:
            return await call_next(context.copy(message=called))
        except ValidationError as error:
            cause = error.__cause__
            if not isinstance(cause, pydantic.ValidationError):
                raise
            problems = [_problem(problem, known) for problem in cause.errors()]
            # None: the mistake is the caller's, and nothing of ours failed.
            raise ToolError("; ".join(problems)) from None

    async def _known(self, context: MiddlewareContext[CallToolRequestParams]) -> list[str]:
        server = context.fastmcp_context
        tool = await server.fastmcp.get_tool(context.message.name) if server else None
        return list(tool.parameters["properties"]) if tool else []


def _problem(problem: "ErrorDetails", known: Sequence[str]) -> str:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "unexpected_keyword_argument":
        return f"{name[:80]}: there is no such argument, there are {', '.join(known)}"
    return f"{name}: {problem['msg']}"
