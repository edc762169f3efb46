"""Writes a server's status when it has changed, and records Events about the change."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog

from flame_operator.api.kube import CONTENDING_MANAGER, KubeApi
from flame_operator.changes.compare import is_subset
from flame_operator.errors import Undeclared
from flame_operator.formats.shape import at
from flame_operator.formats.times import utc_now
from flame_operator.informer.cache import Cache
from flame_operator.resource.installation import ALONE, CONTENDER, HOLDER, Installation, conflict_message
from flame_operator.resource.kinds import Key, Manifest, key_of
from flame_operator.resource.reasons import Reason
from flame_operator.resource.server import Server
from flame_operator.status.conditions import blocked_status, broken_status, conflict_status, server_status
from flame_operator.status.events import transitions
from flame_operator.status.outcome import Outcome
from flame_operator.status.recorder import Recorder

log = structlog.get_logger(__name__)
_UNDECLARED = re.compile(r"\.status\.(\w+(?:\.\w+)*)")


class Reporter:
    """Reports the outcomes of passes in the status and in Events."""

    def __init__(
        self,
        api: KubeApi,
        cache: Cache,
        recorder: Recorder,
        installation: Installation = ALONE,
        *,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self._api = api
        self._cache = cache
        self._recorder = recorder
        self._installation = installation
        self._now = now
        # Fields of the status that the CRD lacks. The operator starts anew when its chart is upgraded.
        self._undeclared: set[str] = set()

    async def report(self, server: Server, deployment: Manifest | None, outcome: Outcome) -> None:
        """Report the outcome of a pass.

        Args:
            server: The server.
            deployment: Its own live Deployment.
            outcome: What the pass has found and done.

        Raises:
            Conflict, Refused, Unavailable: As with every write.
        """
        body = self._cache.server(server.key)
        contender = self._installation.contender(body) if body is not None else ""
        if body is not None and contender:
            outcome = replace(outcome, conflict=conflict_message(self._installation.name, contender, body))
        await self._write(
            server.key, lambda old: server_status(server, deployment, outcome, old, self._now())
        )

    async def stands_back(self, body: Manifest) -> bool:
        """Whether another installation of the operator handles this server; the status says so, once.

        Raises:
            Conflict, Refused, Unavailable: As with every write.
        """
        me = self._installation
        if not me.stands_back(body):
            return False
        if me.must_tell(body):
            holder, key = me.holder_of(body), key_of(body)
            log.warning("another operator handles this server", **key.fields(), operator=holder)
            message = conflict_message(holder, me.name, body)
            generation, old = body["metadata"].get("generation", 0), body.get("status") or {}
            said = {CONTENDER: {"name": me.name, "generation": generation}}
            status = said | conflict_status(generation, message, old, self._now())
            # By another field manager: the rest of the status is the other installation's.
            live = await self._send(body, status, manager=CONTENDING_MANAGER)
            if live is not None:
                self._cache.put(live)
        return True

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
        # Another installation may have claimed the server since this pass began.
        if body is None or self._installation.stands_back(body):
            return
        old = body.get("status") or {}
        status = self._declared(status_after(old) | {HOLDER: self._installation.claim()})
        status.pop(CONTENDER, None)
        if is_subset(status, old):
            return
        # Who claims a server first is decided by its version: a second one finds the claim, and stands back.
        first = (old.get(HOLDER) or {}) != status.get(HOLDER, {})
        live = await self._send(body, status, exact=first)
        if live is None:
            return
        self._cache.put(live)
        for event in transitions(old, status):
            self._recorder.record(body, event)

    async def _send(
        self,
        body: Manifest,
        status: Manifest,
        **how: Any,  # noqa: ANN401 - see `KubeApi.patch_status`
    ) -> Manifest | None:
        """Write a status, without the fields that an older CRD lacks."""
        while True:
            try:
                return await self._api.patch_status(body, self._declared(status), **how)
            except Undeclared as error:
                named = set(_UNDECLARED.findall(str(error))) - self._undeclared
                found = {path for path in named if at(status, *path.split(".")) is not None}
                if not found:
                    raise
                log.warning("the CRD is older than the operator: upgrade it", fields=sorted(found))
                self._undeclared |= found

    def _declared(self, status: Manifest, above: str = "") -> Manifest:
        return {
            name: self._declared(value, f"{above}{name}.") if isinstance(value, dict) else value
            for name, value in status.items()
            if above + name not in self._undeclared
        }
