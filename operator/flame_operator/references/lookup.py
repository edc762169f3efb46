"""Polls the Secrets and ConfigMaps that specs name: whether they exist, and when their content changes.

The operator may not list or watch Secrets, because that would let it read all of them. Instead it polls each
one that a spec names, by name. It keeps only digests of what it reads.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import structlog

from flame_operator.desired.references import Reference
from flame_operator.errors import Conflict, Forbidden, Refused, Unavailable
from flame_operator.references.digests import Digests, Part
from flame_operator.references.objects import FORBIDDEN, MISSING, NOTHING_SEEN, ObjectKey, Seen, UsedObject
from flame_operator.references.poll_schedule import Schedule
from flame_operator.references.resolved import Resolved
from flame_operator.resource.kinds import Key, Kind, Manifest

log = structlog.get_logger(__name__)

POLL_SECONDS = 60.0
MISSING_SECONDS = 10.0
"""How often to look for an object that doesn't exist or lacks a key."""
LOOKS_PER_SECOND = 50.0
"""How many objects are looked at in a second, at most; where more are due, intervals get longer."""
LOOKS_AT_ONCE = 4


class ReadApi(Protocol):
    """The part of `KubeApi` that `References` needs."""

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """The object with this key, or None when there is none."""

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        """The metadata of the object with this key, without its content, or None when there is none."""


class References:
    """Looks up the objects that servers refer to, remembers them, and reports when they change.

    Args:
        api: The API of the cluster, of which only the verb `get` is used.
        digests: Makes digests of what is read.
        on_change: Called with each server that uses an object that has changed, appeared or gone.
        poll_seconds: How often each object is polled, up to 20 % sooner, however many servers use it.
        schedule: Decides which object is looked at when.
    """

    def __init__(
        self,
        api: ReadApi,
        digests: Digests,
        on_change: Callable[[Key], None],
        *,
        poll_seconds: float = POLL_SECONDS,
        schedule: Schedule[ObjectKey] | None = None,
    ) -> None:
        self._api = api
        self._digests = digests
        self._on_change = on_change
        self._poll_seconds = poll_seconds
        self._schedule = Schedule(per_second=LOOKS_PER_SECOND) if schedule is None else schedule
        self._objects: dict[ObjectKey, UsedObject] = {}
        self._uses: dict[Key, tuple[ObjectKey, ...]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    async def resolve(self, server: Key, references: Collection[Reference]) -> Resolved:
        """Resolve a server's references; from now on, `on_change` reports when the result changes.

        Call it in every pass: it reads only objects that aren't known yet.

        Args:
            server: The server.
            references: All references of the server; they replace those of the last call.

        Raises:
            Unavailable: An object can't be read. The poller tries again, and reports when it succeeds.
            Refused: The API server refuses a request, for a reason other than missing permissions.
        """
        self._register(server, references)
        unknown = {
            _key_of(server, reference): reference
            for reference in references
            if self._is_new(server, reference)
        }
        if unknown:
            await asyncio.gather(*(self._look_up(server, reference) for reference in unknown.values()))
        rolling = [one for one in references if one.rolls]
        problems = self._problems(server, rolling)
        awaited = self._problems(server, (one for one in references if not one.rolls))
        loaded = [one for one in references if one.loads]
        sources = "" if any(self._problem(server, one) for one in loaded) else self._digest(server, loaded)
        if problems:
            gone = tuple(one for one in rolling if self._is_gone(server, one))
            return Resolved(problems, awaited, gone, sources=sources)
        return Resolved(awaited=awaited, digest=self._digest(server, rolling), sources=sources)

    def forget(self, server: Key) -> None:
        """Forget a server that is gone; objects that no other server uses are no longer polled."""
        for object_key in self._uses.pop(server, ()):
            self._leave(server, object_key)

    async def run(self) -> None:
        """Poll all objects until cancelled."""
        free = asyncio.Semaphore(LOOKS_AT_ONCE)
        async with asyncio.TaskGroup() as looks:
            while True:
                await free.acquire()
                object_key = await self._schedule.turn()
                look = looks.create_task(self._poll(self._objects[object_key]))
                look.add_done_callback(lambda _: free.release())

    def _register(self, server: Key, references: Collection[Reference]) -> None:
        used: dict[ObjectKey, dict[str | None, None]] = {}
        for reference in references:
            used.setdefault(_key_of(server, reference), {})[reference.key] = None
        former = self._uses.get(server, ())
        self._uses[server] = tuple(used)
        for object_key, keys in used.items():
            if object_key not in self._objects:
                self._objects[object_key] = UsedObject(object_key)
            self._objects[object_key].users[server] = tuple(keys)
        for object_key in former:
            if object_key not in used:
                self._leave(server, object_key)
        if not used:
            del self._uses[server]

    def _leave(self, server: Key, object_key: ObjectKey) -> None:
        left = self._objects[object_key]
        del left.users[server]
        if not left.users:
            del self._objects[object_key]
            self._schedule.remove(object_key)

    def _is_new(self, server: Key, reference: Reference) -> bool:
        """Whether a reference has to be read now.

        It has to when nothing is known of it, or when the operator's own Secret was missing at the last look:
        the caller may have made it a moment ago.
        """
        seen = self._objects[_key_of(server, reference)].seen
        return reference.key not in seen.digests or (reference.own and seen.version == MISSING)

    async def _look_up(self, server: Key, reference: Reference) -> None:
        used = self._objects[_key_of(server, reference)]
        async with used.lock:
            if not self._is_new(server, reference):
                return  # another pass has read it meanwhile
            if used.trouble and used.seen is NOTHING_SEEN:
                # A thousand users of one broken object mustn't each wait for the same failure.
                raise Unavailable(used.trouble)
            before = used.seen
            try:
                await self._look(used)
            except (Refused, Conflict, Unavailable) as error:
                used.trouble = str(error)
                raise
            finally:
                self._plan(used, first=True)
            self._notify(used, before, asker=server)

    async def _poll(self, due: UsedObject) -> None:
        async with due.lock:
            before = due.seen
            try:
                if await self._is_stale(due):
                    await self._look(due)
                    self._notify(due, before)
                due.trouble = ""
            except (Refused, Conflict, Unavailable) as error:
                if not due.trouble:
                    log.warning("a reference can't be read", object=str(due.object_key), error=str(error))
                due.trouble = str(error)
            except Exception:
                # A bug in one look must not end the polling of all other objects.
                log.exception("unexpected error while reading a reference", object=str(due.object_key))
            finally:
                self._plan(due)

    async def _is_stale(self, known: UsedObject) -> bool:
        """Whether the object may have changed since the last look, told without fetching its content."""
        if not known.used() <= known.seen.digests.keys():
            return True
        try:
            found = await self._api.get_metadata(*known.object_key)
        except Forbidden:
            return known.seen.version != FORBIDDEN
        return known.seen.version != (found["metadata"]["resourceVersion"] if found else MISSING)

    async def _look(self, at: UsedObject) -> None:
        try:
            body = await self._api.get(*at.object_key)
            version = body["metadata"]["resourceVersion"] if body else MISSING
        except Forbidden:
            body, version = None, FORBIDDEN
        at.seen = Seen(version, {key: self._digests.value(body, key) if body else b"" for key in at.used()})

    def _notify(self, at: UsedObject, before: Seen, asker: Key | None = None) -> None:
        """Report the change to all servers that use a changed key.

        Args:
            at: The object.
            before: What was known of it before the look.
            asker: The server whose pass has asked for the look, which gets its answer directly.
        """
        changed = {key for key in at.seen.digests if before.of(key) != at.seen.of(key)}
        if asker is not None:
            # Other servers to which a key is new are waiting for this look themselves.
            changed &= before.digests.keys()
        for user, keys in list(at.users.items()):
            if user != asker and not changed.isdisjoint(keys):
                self._on_change(user)

    def _plan(self, at: UsedObject, *, first: bool = False) -> None:
        """Plan the next look, if any server still uses the object."""
        if self._objects.get(at.object_key) is not at:
            return
        seconds = self._poll_seconds if at.is_complete() else min(MISSING_SECONDS, self._poll_seconds)
        namespace = at.object_key.key.namespace
        if first:
            # A start reads everything at once. A random delay within the interval spreads the next looks.
            self._schedule.add(at.object_key, namespace, seconds, spread=1)
        else:
            self._schedule.add(at.object_key, namespace, seconds)

    def _digest(self, server: Key, references: Iterable[Reference]) -> str:
        """The digest of all that these references have a value for."""
        parts = (
            Part(one.kind.kind, one.name, one.key, digest)
            for one in references
            if (digest := self._objects[_key_of(server, one)].seen.digests[one.key])
        )
        return self._digests.all_of(parts)

    def _problems(self, server: Key, references: Iterable[Reference]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (self._problem(server, one) for one in references))))

    def _is_gone(self, server: Key, reference: Reference) -> bool:
        seen = self._objects[_key_of(server, reference)].seen
        return not reference.own and not seen.digests[reference.key] and seen.version != FORBIDDEN

    def _problem(self, server: Key, reference: Reference) -> str:
        """What is wrong with a reference and what the user has to do, or "" when nothing is wrong."""
        object_key = _key_of(server, reference)
        seen = self._objects[object_key].seen
        if reference.own or seen.digests[reference.key]:
            return ""
        if seen.version == FORBIDDEN:
            advice = (
                f"can't be read by the operator; give its role the verb get on {object_key.kind.plural} "
                f"in namespace {object_key.key.namespace}"
            )
        elif seen.version == MISSING:
            key = f' with the key "{reference.key}"' if reference.key else ""
            advice = f"doesn't exist; create it{key}"
        else:
            advice = f'has no value under the key "{reference.key}"; add one, or name another key'
        return f"{reference.field}: {object_key} {advice}"


def _key_of(server: Key, reference: Reference) -> ObjectKey:
    return ObjectKey(reference.kind, Key(server.namespace, reference.name))
