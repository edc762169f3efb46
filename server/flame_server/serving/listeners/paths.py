"""Leads requests below a path prefix, and those with a slash at the end, to the server's own paths."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flame_server.serving.edge.replies import MCP_PATH, METADATA_PATH, OPEN_PATHS, PREFIX


class Paths:
    """Answers below a prefix as at the root, which goes on answering: probes and the operator ask there.

    Nothing is redirected to a whole URL: behind a proxy, the server can't know its scheme for sure.

    Args:
        app: What knows the paths without a prefix; it finds the prefix in the scope.
        prefix: Such as `/flame`, without a slash at the end; empty for none.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        asked = scope["path"]
        path = self._without_prefix(asked)
        if self._prefix and asked == self._prefix and scope["method"] in ("GET", "HEAD"):
            # The page's own links are relative: they are right only below `/flame/`.
            there = f"{asked.rpartition('/')[2]}/"
            await Response(status_code=307, headers={"Location": there})(scope, receive, send)
            return
        if path is None:
            path = asked
        else:
            scope = {**scope, PREFIX: self._prefix}
        if path in (f"{MCP_PATH}/", f"{METADATA_PATH}{MCP_PATH}/"):
            path = path[:-1]
        await self._app({**scope, "path": path}, receive, send)

    def _without_prefix(self, path: str) -> str | None:
        """The path below the prefix; None when it isn't below it."""
        if not self._prefix:
            return None
        # RFC 9728 puts the well-known part before the path of the resource.
        if _is_below(path, METADATA_PATH + self._prefix):
            return METADATA_PATH + path.removeprefix(METADATA_PATH + self._prefix)
        return (path.removeprefix(self._prefix) or "/") if _is_below(path, self._prefix) else None


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
