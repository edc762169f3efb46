"""Around every call of a tool: mistakes in plain words, and counted outcomes."""

import time

import pydantic
from fastmcp.exceptions import ToolError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from mcp.types import CallToolRequestParams

from flame_server.metrics import Metrics


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


class PlainArgumentErrors(Middleware):
    """Wrong argument names and types in one line, without the validator's markup and without the values."""

    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """See `Middleware`."""
        try:
            return await call_next(context)
        except ValidationError as error:
            cause = error.__cause__
            if not isinstance(cause, pydantic.ValidationError):
                raise
            problems = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in cause.errors()]
            # None: the mistake is the caller's, and nothing of ours failed.
            raise ToolError("; ".join(problems)) from None
