"""Keeps the cache up to date from the watch and from full lists, and reports which servers have changed."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from flame_operator.api.kube import KubeApi
from flame_operator.errors import Conflict, Refused, Unavailable, UserError
from flame_operator.informer.cache import Cache
from flame_operator.informer.sweep import Scope, everything, sweep
from flame_operator.informer.watch_health import WatchHealth
from flame_operator.resource.kinds import SERVER, Key, Kind, Manifest, key_of
from flame_operator.resource.status import readiness
from flame_operator.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

MOST_ALONE = 10
"""How many namespaces are listed one by one; for more of them, everything is listed."""
LOOK_SECONDS = 1.0
"""How often to check whether the watch has caught up with a sweep, in seconds."""


@dataclass(eq=False)
class Informer:
    """Feeds the cache from the watch and from full lists, and reports servers that have changed."""

    api: KubeApi
    cache: Cache
    changed: Callable[[Key], None]
    """Called with each server that has changed, or that has a changed child."""
    watch_health: WatchHealth
    resync_seconds: float
    """How often everything is listed."""
    settle_seconds: float = 15
    """How soon after the start everything is listed a second time."""
    namespaces: Sequence[str] = ()
    """The watched namespaces; empty means all."""
    optional_kinds: Sequence[Kind] = ()
    """Kinds of children that are made where the cluster serves them; they aren't watched."""
    metrics: Metrics = field(default_factory=Metrics)
    covers: Callable[[Manifest], bool] = everything
    """Whether a server is this installation's; others count as absent."""
    served: frozenset[Kind] = frozenset()
    """The optional kinds that the cluster served at the last sweep."""
    swept_at: float = -math.inf
    """When the last successful sweep ended, on the monotonic clock."""
    _listed: Mapping[Scope, int] = field(default_factory=dict)

    async def prime(self) -> None:
        """Fill the cache before the first pass, so that a restart finds all in place and writes nothing.

        Raises:
            UserError: The operator lacks permissions, or the CRD isn't installed.
        """
        while True:
            try:
                await self._sweep()
            except Refused as error:
                raise UserError(
                    f"the operator can't list the objects that it manages: {error}. Install "
                    "crds/flamemcpservers.yaml and the operator's RBAC rules, and start it again"
                ) from error
            except Unavailable as error:
                log.warning("waiting for the API server", error=str(error))
            else:
                break
        servers = set(self.cache.servers())
        for key in servers:
            self.changed(key)
        log.info("ready", servers=len(servers), namespaces=list(self.namespaces) or "all")

    async def sweep_forever(self) -> None:
        """List everything periodically, to find changes that a broken watch missed.

        Raises:
            Blind: The watch doesn't deliver changes that the lists find.
        """
        # An object that is deleted between the first lists and the watch's own list has no event.
        pause = min(self.settle_seconds, self.resync_seconds)
        while True:
            await self._expect_from_watch()
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load
            pause = self.resync_seconds
            try:
                missed = await self._sweep()
            except (Refused, Conflict, Unavailable) as error:
                self.metrics.swept(None)
                log.warning("sweep failed", error=str(error))
                continue
            self.metrics.swept(len(missed))
            log.info("swept", objects=len(self.cache), missed=len(missed))
            for key in missed:
                self.changed(key)

    def seen(self, body: Manifest, *, deleted: bool) -> None:
        """Handle an event from the watch."""
        kind, key = body["kind"], key_of(body)
        self.watch_health.delivered(body)
        if kind == SERVER.kind and not deleted and not self.covers(body):
            self._let_go(key)
            return
        changed = self.cache.drop(body) if deleted else self.cache.put(body)
        if kind == SERVER.kind:
            self._note_readiness(key, None if deleted else body)
        if changed:
            self._report(kind, key)

    def wants(self, kind: Kind, key: Key) -> bool:
        """Whether an object with this kind and key may be a child of a known server."""
        return bool(self.cache.parents(kind.kind, key))

    def heard(self, kind: Kind, key: Key, version: int) -> None:
        """Handle an event about an object that nobody wants."""
        self.watch_health.heard(kind.kind, key, version)

    def gone(self, kind: Kind, key: Key, version: int) -> None:
        """Handle the deletion of a child."""
        self.watch_health.heard(kind.kind, key, version)
        if self.cache.drop_slot(kind.kind, key, version):
            self._report(kind.kind, key)

    def vanished(self, kind: Kind, missing: dict[Key, int]) -> None:
        """Handle children that a full list of their kind didn't have; see `Cache.expire`."""
        for server in self.cache.expire(kind.kind, missing):
            self.changed(server)

    def noted(self, kind: Kind, key: Key, version: int) -> None:
        """Handle an event that doesn't contain its object, which a pass has to read."""
        self.watch_health.heard(kind.kind, key, version)
        if self.cache.note(kind.kind, key, version):
            self._report(kind.kind, key)

    async def look_at(self, namespaces: set[str]) -> None:
        """List the servers and children of namespaces that are handled from now on.

        Raises:
            Refused, Unavailable: A list failed.
        """
        if len(namespaces) > MOST_ALONE:
            found = await self._sweep()
        else:
            swept = await sweep(self.api, self.cache, sorted(namespaces), tuple(self.served), self.covers)
            found = swept.changed
        for key in found:
            self._note_readiness(key, self.cache.server(key))
            self.changed(key)

    def leave(self, namespace: str) -> None:
        """Forget the servers of a namespace that isn't handled any more; they stay as they are."""
        for key in self.cache.servers():
            if key.namespace == namespace:
                self._let_go(key)

    def _let_go(self, key: Key) -> None:
        """Forget a server that exists, but not for this installation. It may come back as it is now."""
        if self.cache.server(key) is not None:
            self.cache.learn(SERVER.kind, key, None)
            self._note_readiness(key, None)
            self.changed(key)

    def _report(self, kind: str, key: Key) -> None:
        for server in self.cache.parents(kind, key):
            self.changed(server)

    async def _sweep(self) -> set[Key]:
        served = frozenset([kind for kind in self.optional_kinds if await self.api.serves(kind)])
        found = await sweep(self.api, self.cache, self.namespaces, tuple(served), self.covers)
        self.swept_at, self._listed = time.monotonic(), found.newest
        if served != self.served:
            self.served = served
            found.changed.update(self.cache.servers())
        for key in found.changed:
            self._note_readiness(key, self.cache.server(key))
        return found.changed

    async def _expect_from_watch(self) -> None:
        """Return once the watch has delivered what the last sweep found."""
        while (seconds := self.watch_health.overdue(self._listed, self.swept_at)) is not None:  # noqa: ASYNC110 - polls
            await asyncio.sleep(min(seconds, LOOK_SECONDS))

    def _note_readiness(self, key: Key, server: Manifest | None) -> None:
        if server is None:
            self.metrics.forget(key)
        else:
            self.metrics.set_readiness(key, readiness(server))
