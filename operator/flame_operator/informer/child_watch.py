"""Watches children: an own watch, because kopf takes every object whole, whoever made it and however large.

Anybody may label an object like a child. Here such an object costs a look at the first bytes of its line, and
only objects that may be a known server's are parsed. Of ConfigMaps only metadata comes at all: a pass reads
the content of a child by its name.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from flame_operator.api.lists import Page
from flame_operator.api.reading import Line
from flame_operator.concurrency import until_one_ends
from flame_operator.errors import Conflict, Refused, Unavailable
from flame_operator.informer.events import Head, Other, body_of, head_of, other_of
from flame_operator.informer.informer import Informer
from flame_operator.informer.sweep import selector
from flame_operator.resource.kinds import (
    CONTENT_BY_NAME,
    WATCHED_KINDS,
    Kind,
    key_of,
    without_content,
)

log = structlog.get_logger(__name__)

WATCH_SECONDS = 290
FIRST_DELAY = 1.0
LONGEST_DELAY = 20.0
PATIENCE = 3
"""After how many failures in a row to list again, instead of going on where the watch broke off."""


class ListsAndWatches(Protocol):
    """The requests that the watch needs; see `api.lists.Lists`."""

    def pages(
        self, kind: Kind, *, selector: str = "", namespace: str | None = None, metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        """Iterate over all objects of a kind, page by page."""

    def watch(  # noqa: PLR0913 - as the API has them
        self,
        kind: Kind,
        *,
        version: str,
        seconds: int,
        selector: str = "",
        namespace: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[Line]:
        """Iterate over the events of a kind's objects."""


@dataclass
class _Scope:
    """One watch: a kind in one namespace or in all, and how it goes."""

    kind: Kind
    namespace: str | None
    version: str = ""
    """Where to go on; empty: with a list."""
    failures: int = 0
    """How many attempts in a row have brought nothing."""

    def delay(self, jitter: float) -> float:
        """How long to wait before the next attempt, in seconds."""
        return min(FIRST_DELAY * 2.0 ** min(self.failures, 10), LONGEST_DELAY) * (0.5 + jitter)

    def broken_by(self, error: Exception) -> None:
        """Decide where to go on after an error: a version may be too old, or the cause of it all."""
        self.failures += 1
        if not isinstance(error, Unavailable) or self.failures >= PATIENCE:
            self.version = ""


@dataclass(frozen=True, kw_only=True)
class ChildWatch:
    """Watches all children, and tells the informer of them."""

    api: ListsAndWatches
    informer: Informer
    namespaces: Sequence[str] = ()
    """Where to look; empty means everywhere."""
    jitter: Callable[[], float] = random.random
    """Returns a number from 0 to 1 that spreads requests."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits between attempts."""

    async def run(self) -> None:
        """Watch until cancelled."""
        scopes = [_Scope(kind, name) for kind in WATCHED_KINDS for name in self.namespaces or (None,)]
        await until_one_ends([asyncio.create_task(self._follow(scope)) for scope in scopes])

    async def _follow(self, scope: _Scope) -> None:
        while True:
            try:
                if not scope.version:
                    await self._list(scope)
                await self._stream(scope)
            except (Refused, Conflict, Unavailable) as error:
                scope.broken_by(error)
                fields = {"kind": scope.kind.kind, "namespace": scope.namespace, "error": str(error)[:300]}
                log.info("a watch broke off", **fields, failures=scope.failures)
            await self.sleep(scope.delay(self.jitter()))

    async def _list(self, scope: _Scope) -> None:
        # What isn't in the list and hasn't changed meanwhile was deleted while nobody watched.
        missing = {
            key: version
            for key, version in self.informer.cache.snapshot(scope.kind.kind).items()
            if scope.namespace in (None, key.namespace)
        }
        version = ""
        pages = self.api.pages(
            scope.kind,
            selector=selector(scope.kind),
            namespace=scope.namespace,
            metadata_only=scope.kind in CONTENT_BY_NAME,
        )
        async for page in pages:
            version = page.version
            for body in page.items:
                missing.pop(key_of(body), None)
                self.informer.seen(body, deleted=False)
        self.informer.vanished(scope.kind, missing)
        scope.version = version

    async def _stream(self, scope: _Scope) -> None:
        lines = self.api.watch(
            scope.kind,
            version=scope.version,
            seconds=int(WATCH_SECONDS * (0.8 + 0.2 * self.jitter())),
            selector=selector(scope.kind),
            namespace=scope.namespace,
            metadata_only=scope.kind in CONTENT_BY_NAME,
        )
        async for line in lines:
            scope.version = self._take(scope.kind, line) or scope.version
            scope.failures = 0

    def _take(self, kind: Kind, line: Line) -> str:
        """Handle one line; returns the version up to which everything has been seen, or nothing."""
        match head_of(line.text) or other_of(line):
            case Head() as head:
                if self.informer.wants(kind, head.key):
                    self._tell(kind, head, line)
                else:
                    self.informer.heard(kind, head.key, head.version)
                return str(head.version)
            case Other("BOOKMARK", body):
                return str((body.get("metadata") or {}).get("resourceVersion") or "")
            case Other("ERROR", body):
                raise Conflict(f"the watch must begin anew: {body.get('code')} {body.get('message', '')}")
            case Other(unknown):
                log.warning("unknown event", kind=kind.kind, type=unknown[:40])
            case None:
                log.warning("an event is too large to read", kind=kind.kind)
        return ""

    def _tell(self, kind: Kind, head: Head, line: Line) -> None:
        if head.type == "DELETED":
            self.informer.gone(kind, head.key, head.version)
        elif not line.whole:
            self.informer.noted(kind, head.key, head.version)
        else:
            body = body_of(line)
            whole = {**body, "apiVersion": kind.api_version, "kind": kind.kind}
            only_metadata = kind in CONTENT_BY_NAME
            self.informer.seen(
                without_content(kind, body["metadata"]) if only_metadata else whole, deleted=False
            )
