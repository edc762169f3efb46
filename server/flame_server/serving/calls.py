"""FastMCP middleware around every call of a tool: metrics, argument names and plain error messages."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pydantic
from fastmcp.exceptions import ToolError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from mcp.types import CallToolRequestParams

from flame_server.serving.metrics import Metrics
from flame_server.serving.tools.arguments import renamed, shortened

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_MOST_PROBLEMS = 5


class CallMetrics(Middleware):
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
            # With a cause it is a failure of the server; without, it explains a mistake of the caller.
            outcome = "failed" if error.__cause__ else "refused"
            raise
        finally:
            self._metrics.called(outcome, time.monotonic() - started)
        return result


class ArgumentHandling(Middleware):
    """Accepts other common names of arguments, and explains wrong arguments in one line, without values."""

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
            problems = [_problem(problem, known) for problem in cause.errors()[:_MOST_PROBLEMS]]
            # Without a cause: the mistake is the caller's (see CallMetrics).
            raise ToolError(shortened("; ".join(problems))) from None

    async def _known(self, context: MiddlewareContext[CallToolRequestParams]) -> list[str]:
        server = context.fastmcp_context
        tool = await server.fastmcp.get_tool(context.message.name) if server else None
        return list(tool.parameters["properties"]) if tool else []


def _problem(problem: "ErrorDetails", known: Sequence[str]) -> str:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "unexpected_keyword_argument":
        return f"{name[:80]}: there is no such argument, there are {', '.join(known)}"
    return f"{name}: {problem['msg']}"
