"""The Secrets and ConfigMaps that specs name: whether they are there, and when what is in them changes.

The operator may not list or watch Secrets, which would let it read all of them. Instead it asks for each that
a spec names, by name, now and then. Of what it reads it keeps digests only.
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
"""How often something that isn't there, or lacks a key, is looked for."""
LOOKS_PER_SECOND = 50.0
"""Where more would be needed, intervals get longer."""
LOOKS_AT_ONCE = 4


class ReadApi(Protocol):
    """What is needed of `KubeApi`."""

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """One object, or None."""

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        """One object without what is in it, or None."""


class References:
    """Looks up what servers refer to, remembers it, and tells when it changes.

    Args:
        api: The cluster. The verb `get` is all that is used.
        digests: Makes digests of what is read.
        on_change: Called with each server that uses what has changed, appeared or gone.
        poll_seconds: How often each object is looked at, 20 % more or less, however many servers use it.
        schedule: Decides when what is looked at.
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
        """What a server's references come to. From now on `on_change` tells when that changes.

        Asks only for what isn't known yet: call it in every pass.

        Args:
            server: Uses these references, and no longer those that it used before.
            references: All that it uses.

        Raises:
            Unavailable: Something can't be looked at. The poller tries again, and tells.
            Refused: The API server refuses a request, for another reason than a missing right.
        """
        self._register(server, references)
        unknown = {
            _key_of(server, reference): reference
            for reference in references
            if self._is_new(server, reference)
        }
        if unknown:
            await asyncio.gather(*(self._ask(server, reference) for reference in unknown.values()))
        problems = self._problems(server, (one for one in references if one.rolls))
        awaited = self._problems(server, (one for one in references if not one.rolls))
        if problems:
            return Resolved(problems, awaited)
        parts = (
            Part(one.kind.kind, one.name, one.key, digest)
            for one in references
            if one.rolls and (digest := self._objects[_key_of(server, one)].seen.digests[one.key])
        )
        return Resolved(awaited=awaited, digest=self._digests.all_of(parts))

    def forget(self, server: Key) -> None:
        """The server is gone: what nobody else uses isn't looked at any more."""
        for object_key in self._uses.pop(server, ()):
            self._leave(server, object_key)

    async def run(self) -> None:
        """Look at everything again and again, until cancelled."""
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
        """Whether memory has no answer. Our own object the caller may have made a moment ago."""
        seen = self._objects[_key_of(server, reference)].seen
        return reference.key not in seen.digests or (reference.own and seen.version == MISSING)

    async def _ask(self, server: Key, reference: Reference) -> None:
        asked = self._objects[_key_of(server, reference)]
        async with asked.lock:
            if not self._is_new(server, reference):
                return  # somebody else has asked meanwhile
            if asked.trouble and asked.seen is NOTHING_SEEN:
                # A thousand users of one broken object don't each wait for its failure.
                raise Unavailable(asked.trouble)
            before = asked.seen
            try:
                await self._look(asked)
            except (Refused, Conflict, Unavailable) as error:
                asked.trouble = str(error)
                raise
            finally:
                self._plan(asked, first=True)
            self._tell(asked, before, asker=server)

    async def _poll(self, due: UsedObject) -> None:
        async with due.lock:
            before = due.seen
            try:
                if await self._is_stale(due):
                    await self._look(due)
                    self._tell(due, before)
                due.trouble = ""
            except (Refused, Conflict, Unavailable) as error:
                if not due.trouble:
                    log.warning(
                        "a reference can't be looked at", object=str(due.object_key), error=str(error)
                    )
                due.trouble = str(error)
            except Exception:
                # A bug in one look must not end all the others.
                log.exception("unexpected error in a look at a reference", object=str(due.object_key))
            finally:
                self._plan(due)

    async def _is_stale(self, known: UsedObject) -> bool:
        """Whether the object may be another than what was seen: what is in it isn't fetched to find out."""
        if not known.used() <= known.seen.digests.keys():
            return True
        try:
            head = await self._api.get_metadata(*known.object_key)
        except Forbidden:
            return known.seen.version != FORBIDDEN
        return known.seen.version != (head["metadata"]["resourceVersion"] if head else MISSING)

    async def _look(self, at: UsedObject) -> None:
        try:
            body = await self._api.get(*at.object_key)
            version = body["metadata"]["resourceVersion"] if body else MISSING
        except Forbidden:
            body, version = None, FORBIDDEN
        at.seen = Seen(version, {key: self._digests.value(body, key) if body else b"" for key in at.used()})

    def _tell(self, at: UsedObject, before: Seen, asker: Key | None = None) -> None:
        """Tell the users of keys that are no longer as `before`; an asker has got its answer."""
        changed = {key for key in at.seen.digests if before.of(key) != at.seen.of(key)}
        if asker is not None:
            # Those to whom a key is new are asking as well.
            changed &= before.digests.keys()
        for user, keys in list(at.users.items()):
            if user != asker and not changed.isdisjoint(keys):
                self._on_change(user)

    def _plan(self, at: UsedObject, *, first: bool = False) -> None:
        """Look again later, if anybody still uses the object."""
        if self._objects.get(at.object_key) is not at:
            return
        seconds = self._poll_seconds if at.is_complete() else min(MISSING_SECONDS, self._poll_seconds)
        namespace = at.object_key.key.namespace
        if first:
            # A start finds everything at once: anywhere within the interval, so that it stays spread.
            self._schedule.add(at.object_key, namespace, seconds / 2, spread=1)
        else:
            self._schedule.add(at.object_key, namespace, seconds)

    def _problems(self, server: Key, references: Iterable[Reference]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (self._problem(server, one) for one in references))))

    def _problem(self, server: Key, reference: Reference) -> str:
        """What a user has to do about a reference; nothing when it is all right."""
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
