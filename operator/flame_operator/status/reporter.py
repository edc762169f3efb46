"""Writes a server's status when it has changed, and records Events about the change."""

from collections.abc import Callable

from flame_operator.api.kube import KubeApi
from flame_operator.changes.compare import is_subset
from flame_operator.formats.times import utc_now
from flame_operator.informer.cache import Cache
from flame_operator.resource.kinds import Key, Manifest, key_of
from flame_operator.resource.reasons import Reason
from flame_operator.resource.server import Server
from flame_operator.status.conditions import blocked_status, broken_status, server_status
from flame_operator.status.events import transitions
from flame_operator.status.outcome import Outcome
from flame_operator.status.recorder import Recorder


class Reporter:
    """Reports the outcomes of passes in the status and in Events."""

    def __init__(
        self, api: KubeApi, cache: Cache, recorder: Recorder, *, now: Callable[[], str] = utc_now
    ) -> None:
        self._api = api
        self._cache = cache
        self._recorder = recorder
        self._now = now

    async def report(self, server: Server, deployment: Manifest | None, outcome: Outcome) -> None:
        """Report the outcome of a pass.

        Args:
            server: The server.
            deployment: Its own live Deployment.
            outcome: What the pass has found and done.

        Raises:
            Conflict, Refused, Unavailable: As with every write.
        """
        await self._write(
            server.key, lambda old: server_status(server, deployment, outcome, old, self._now())
        )

    async def report_blocked(self, body: Manifest, reason: Reason, message: str) -> None:
        """Report that a resource can't be used, and why; its children are left as they are."""
        generation = body["metadata"].get("generation", 0)
        await self._write(
            key_of(body), lambda old: blocked_status(generation, reason, message, old, self._now())
        )

    async def report_bug(self, body: Manifest) -> None:
        """Report that the operator can't handle a resource because of a bug of its own."""
        generation = body["metadata"].get("generation", 0)
        await self._write(key_of(body), lambda old: broken_status(generation, old, self._now()))

    async def _write(self, key: Key, status_after: Callable[[Manifest], Manifest]) -> None:
        body = self._cache.server(key)
        if body is None:
            return
        old = body.get("status") or {}
        status = status_after(old)
        if is_subset(status, old):
            return
        live = await self._api.patch_status(body, status)
        if live is None:
            return
        self._cache.put(live)
        for event in transitions(old, status):
            self._recorder.record(body, event)
