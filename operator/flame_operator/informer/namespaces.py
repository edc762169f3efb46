"""Follows the namespaces that a label selector chooses, where labels say which of them are handled."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from flame_operator.api.reading import Line
from flame_operator.errors import Conflict, Refused, Unavailable, UserError
from flame_operator.informer.child_watch import (
    FIRST_DELAY,
    LONGEST_DELAY,
    WATCH_SECONDS,
    ListsAndWatches,
)
from flame_operator.resource.kinds import NAMESPACE, Manifest, key_of

log = structlog.get_logger(__name__)

_EVENT = re.compile(
    rb'\{\s*"type":\s*"(?P<type>\w+)"(?:.{0,200}?"metadata":\s*\{\s*"name":\s*"(?P<name>[-a-z0-9]+)")?',
    re.DOTALL,
)
"""How an event begins; one that is about no namespace has no name there."""


class Looks(Protocol):
    """Those who have to know when a namespace is chosen, or no longer."""

    async def look_at(self, namespaces: set[str]) -> None:
        """Find the servers of namespaces that are handled from now on."""

    def leave(self, namespace: str) -> None:
        """Forget the servers of a namespace that isn't handled any more."""


class Namespaces:
    """Knows which namespaces a label selector chooses.

    The API server applies the selector: a namespace that loses its label is deleted for this watch. Each
    watch begins with a list, so that a broken one is noticed within minutes.

    Args:
        api: Lists and watches namespaces.
        selector: The label selector.
        jitter: Returns a number from 0 to 1 that spreads requests.
        sleep: Waits between attempts.
    """

    def __init__(
        self,
        api: ListsAndWatches,
        selector: str,
        *,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._selector = selector
        self._jitter = jitter
        self._sleep = sleep
        self._names: set[str] = set()

    def covers(self, body: Manifest) -> bool:
        """Whether an object is in one of these namespaces."""
        return key_of(body).namespace in self._names

    async def prime(self) -> None:
        """Learn the namespaces before anything else is listed.

        Raises:
            UserError: The operator lacks the permission, or the selector isn't one.
        """
        while True:
            try:
                self._names, _ = await self._list()
            except Refused as error:
                raise UserError(
                    f"the operator can't list namespaces by its selector {self._selector!r}: {error}. "
                    "Correct namespaceSelector of its chart, and let the chart create its permissions"
                ) from error
            except Unavailable as error:
                log.warning("waiting for the API server", error=str(error))
                await self._sleep(FIRST_DELAY)
            else:
                log.info("namespaces are chosen", selector=self._selector, namespaces=len(self._names))
                return

    async def run(self, looks: Looks) -> None:
        """Follow the namespaces until cancelled."""
        failures = 0
        while True:
            try:
                names, version = await self._list()
                await self._change(looks, names)
                failures = 0
                await self._stream(looks, version)
            except (Refused, Conflict, Unavailable) as error:
                failures += 1
                log.info("the watch of namespaces broke off", error=str(error)[:300], failures=failures)
            delay = min(FIRST_DELAY * 2.0 ** min(failures, 10), LONGEST_DELAY)
            await self._sleep(delay * (0.5 + self._jitter()))

    async def _list(self) -> tuple[set[str], str]:
        names: set[str] = set()
        version = ""
        async for page in self._api.pages(NAMESPACE, selector=self._selector, metadata_only=True):
            version = page.version
            names.update(item["metadata"]["name"] for item in page.items)
        return names, version

    async def _stream(self, looks: Looks, version: str) -> None:
        lines = self._api.watch(
            NAMESPACE,
            version=version,
            seconds=int(WATCH_SECONDS * (0.8 + 0.2 * self._jitter())),
            selector=self._selector,
            metadata_only=True,
        )
        async for line in lines:
            kind, name = _event(line)
            if kind == "ERROR":
                return
            if name:
                await self._change(looks, self._names - {name} if kind == "DELETED" else self._names | {name})

    async def _change(self, looks: Looks, names: set[str]) -> None:
        """Make these the chosen namespaces; one whose servers can't be listed is tried again."""
        left, joined = self._names - names, names - self._names
        self._names = names
        for name in sorted(left):
            log.info("a namespace is no longer chosen", namespace=name)
            looks.leave(name)
        if joined:
            log.info("namespaces are chosen", namespaces=sorted(joined)[:100], number=len(joined))
            try:
                await looks.look_at(joined)
            except BaseException:
                self._names = names - joined
                raise


def _event(line: Line) -> tuple[str, str]:
    """The type of an event, and the name of the namespace that it is about."""
    found = _EVENT.match(line.text)
    if found is None:
        return "", ""
    return found["type"].decode(), (found["name"] or b"").decode()
