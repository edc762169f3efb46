"""Whether the server can answer, for probes, and why not, for those who run it."""

import asyncio
from typing import Any

import structlog

from flame_server.errors import UnavailableError
from flame_server.search.service import SearchService
from flame_server.serving.edge.auth import Verifier

_NO_INDEX = "vector store unreachable"
_NO_KEYS = "issuer unreachable"
_log = structlog.get_logger(__name__)


class Readiness:
    """Checks what answers need. Probes need no token, so they are told neither addresses nor names.

    The whole problem is in the log, once for each change, and in `details`.
    """

    def __init__(self, searcher: SearchService, verifier: Verifier | None = None) -> None:
        self._searcher = searcher
        self._verifier = verifier
        self._checking: asyncio.Task[str] | None = None
        self._found = ""

    async def problem(self) -> str:
        """What is missing, in words for strangers; empty when the server is ready.

        Whoever asks while a check is running gets its result, so that probes cost one check at a time.
        """
        if self._checking is None:
            self._checking = asyncio.create_task(self._check())
            self._checking.add_done_callback(self._checked)
        return await asyncio.shield(self._checking)

    def details(self) -> dict[str, Any]:
        """The index that is served, and `problem` when the last check found one. For any thread."""
        found = self._found
        return {**(self._searcher.index or {}), **({"problem": found} if found else {})}

    def _checked(self, _: "asyncio.Task[str]") -> None:
        self._checking = None

    async def _check(self) -> str:
        try:
            await self._searcher.check()
        except UnavailableError as error:
            return self._noted(_NO_INDEX, str(error))
        if self._verifier is not None and not await self._verifier.warm():
            return self._noted(_NO_KEYS, f"no keys have been fetched from {self._verifier.issuer} yet")
        return self._noted("", "")

    def _noted(self, told: str, found: str) -> str:
        if found and found != self._found:
            _log.warning("not ready", problem=found)
        self._found = found
        return told
