"""One pass over one server: look, decide, act, report."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog

from flame_operator.cache import Cache
from flame_operator.desired import Defaults, desired
from flame_operator.errors import Conflict, Invalid, InvalidSpec, NamespaceTerminating, Refused
from flame_operator.kube import KubeApi
from flame_operator.model import DEPLOYMENT, KINDS, Key, Manifest, Server, parse_server
from flame_operator.plan import Action, Apply, Delete, corrections, is_ours, is_subset, plan
from flame_operator.plan import Conflict as Taken
from flame_operator.plan import Wait as Going
from flame_operator.status import Outcome, invalid_status, server_status

log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS = 30.0
"""How soon a foreign object is looked at again: it isn't watched, so nothing tells when it goes away."""
ROUNDS = 3
"""How often a pass decides anew when an object turns out to be another than the cache had."""


def utc_now() -> str:
    """Now, as conditions write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Reconciler:
    """Makes the children and the status of a server what its spec asks for."""

    def __init__(
        self, api: KubeApi, cache: Cache, defaults: Defaults, *, now: Callable[[], str] = utc_now
    ) -> None:
        self._api = api
        self._cache = cache
        self._defaults = defaults
        self._now = now

    async def __call__(self, key: Key) -> float | None:
        """Work on one key.

        Returns:
            Seconds until it has to be looked at again without an event, or None.

        Raises:
            Refused: The API server refuses a child; the status says so, and it may be tried again.
            Conflict: Objects changed faster than they could be looked at.
            Unavailable: The API server doesn't answer.
        """
        body = self._cache.server(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None  # garbage collection removes what the server owns
        try:
            server = parse_server(body)
        except InvalidSpec as error:
            generation = body["metadata"].get("generation", 0)
            message = str(error)
            await self._report(key, lambda old: invalid_status(generation, message, old, self._now()))
            return None
        try:
            outcome, refusal = await self._act(server)
        except NamespaceTerminating:
            return None
        await self._report(
            key,
            lambda old: server_status(
                server, self._child(server, DEPLOYMENT.kind), outcome, old, self._now()
            ),
        )
        if refusal is not None:
            raise refusal
        return LOOK_AGAIN_SECONDS if outcome.taken or outcome.waiting else None

    async def _act(self, server: Server) -> tuple[Outcome, Refused | None]:
        wanted = desired(server, self._defaults)
        await self._look_at_foreign(server)
        for _ in range(ROUNDS):
            actions = plan(server, wanted, self._cache.children(server.key))
            taken = tuple(_named(action.child) for action in actions if isinstance(action, Taken))
            waiting = tuple(_named(action.child) for action in actions if isinstance(action, Going))
            if server.spec.suspend:
                return Outcome(taken, waiting), None
            try:
                await self._carry_out(server, actions)
            except Conflict as conflict:
                log.debug("deciding again", key=str(server.key), reason=str(conflict))
                continue
            except NamespaceTerminating:
                raise
            except Refused as refused:
                return Outcome(taken, waiting, str(refused)), refused
            return Outcome(taken, waiting), None
        raise Conflict(f"{server.key}: its children changed {ROUNDS} times while they were looked at")

    async def _carry_out(self, server: Server, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Apply(manifest, uid):
                    await self._apply(server, manifest, uid)
                case Delete(child):
                    await self._delete(server, child)
                case Taken() | Going():
                    pass  # not ours to change

    async def _apply(self, server: Server, manifest: Manifest, uid: str | None) -> None:
        try:
            self._cache.put(await self._write(server, manifest, uid))
        except Conflict:
            await self._look(manifest["kind"], server.key)
            raise
        log.info("applied", key=str(server.key), kind=manifest["kind"], created=uid is None)

    async def _write(self, server: Server, manifest: Manifest, uid: str | None) -> Manifest:
        """Apply, and remove what others have put into a list that is ours alone.

        Server-side apply leaves fields of other managers alone, so that a port that somebody renumbered stays
        beside ours, and the API server may even refuse the two together.
        """
        try:
            live = await self._api.apply(manifest, uid=uid)
        except Invalid:
            known = self._child(server, manifest["kind"])
            fixes = corrections(manifest, known) if known is not None and uid is not None else []
            if known is None or not fixes:
                raise
            await self._api.correct(known, fixes)
            return await self._api.apply(manifest, uid=uid)
        fixes = corrections(manifest, live)
        return await self._api.correct(live, fixes) if fixes else live

    async def _delete(self, server: Server, child: Manifest) -> None:
        try:
            await self._api.delete(child)
        except Conflict:
            await self._look(child["kind"], server.key)
            raise
        self._cache.learn(child["kind"], server.key, None)
        log.info("deleted", key=str(server.key), kind=child["kind"])

    async def _look_at_foreign(self, server: Server) -> None:
        for child in self._cache.children(server.key):
            if not is_ours(server, child):
                await self._look(child["kind"], server.key)

    async def _look(self, kind: str, key: Key) -> None:
        """Replace what the cache knows of an object by what the API server says."""
        self._cache.learn(kind, key, await self._api.get(KINDS[kind], key))

    def _child(self, server: Server, kind: str) -> Manifest | None:
        for child in self._cache.children(server.key):
            if child["kind"] == kind and is_ours(server, child):
                return child
        return None

    async def _report(self, key: Key, status_after: Callable[[Manifest], Manifest]) -> None:
        """Write the status if it isn't there already."""
        body = self._cache.server(key)
        if body is None:
            return
        old = body.get("status") or {}
        status = status_after(old)
        if is_subset(status, old):
            return
        live = await self._api.patch_status(body, status)
        if live is not None:
            self._cache.put(live)


def _named(child: Manifest) -> str:
    return f"{child['kind']} {child['metadata']['name']}"
