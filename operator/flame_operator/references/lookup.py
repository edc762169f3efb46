"""The Secrets and ConfigMaps that specs name: whether they are there, and when what is in them changes.

The operator may not list or watch Secrets, which would let it read all of them. Instead it asks for each that
a spec names, by name, now and then. Of what it reads it keeps digests only.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from flame_operator.desired.references import Reference
from flame_operator.errors import Conflict, Forbidden, Refused, Unavailable
from flame_operator.references.digests import Digests, Part
from flame_operator.references.poll_schedule import Schedule
from flame_operator.resource.kinds import Key, Kind, Manifest

log = structlog.get_logger(__name__)

POLL_SECONDS = 60.0
MISSING_SECONDS = 10.0
"""How often something that isn't there, or lacks a key, is looked for."""
LOOKS_PER_SECOND = 50.0
"""Where more would be needed, intervals get longer."""
LOOKS_AT_ONCE = 4

# What stands for the resource version of an object that can't be read. Real ones are numbers.
_MISSING = "missing"
_FORBIDDEN = "forbidden"


class ReadApi(Protocol):
    """What is needed of `KubeApi`."""

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """One object, or None."""

    async def get_metadata(self, kind: Kind, key: Key) -> Manifest | None:
        """One object without what is in it, or None."""


@dataclass(frozen=True)
class Resolved:
    """What a server's references came to."""

    problems: tuple[str, ...] = ()
    """What pods can't do without, and what to do about it, in the order of the references."""
    awaited: tuple[str, ...] = ()
    """What else is missing: pods do without it, and it may come by itself, as certificates do."""
    digest: str = ""
    """Of all that pods read; empty when they read nothing, and when there are problems."""


class ObjectKey(NamedTuple):
    """Names a Secret or a ConfigMap."""

    kind: Kind
    key: Key

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.key}"


class _Seen(NamedTuple):
    """What a look at an object found."""

    version: str
    digests: dict[str | None, bytes]
    """Of each key that was used then; empty where the key is missing, or its value empty."""

    def of(self, key: str | None) -> tuple[str, bytes] | None:
        """All that matters to users of a key; None when nobody looked for that key."""
        if key not in self.digests:
            return None
        return self.version if self.version in (_MISSING, _FORBIDDEN) else "", self.digests[key]


_NOTHING = _Seen("", {})


@dataclass(slots=True, eq=False)
class _Object:
    """A Secret or a ConfigMap that servers use."""

    slot: ObjectKey
    users: dict[Key, tuple[str | None, ...]] = field(default_factory=dict)
    """The servers, and which keys each uses."""
    seen: _Seen = _NOTHING
    trouble: str = ""
    """Why the last look came to nothing."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held during a look: whoever else wants one waits for its result."""

    def used(self) -> set[str | None]:
        return set().union(*self.users.values())

    def is_complete(self) -> bool:
        return all(self.seen.digests.get(key) for key in self.used())


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
        self._objects: dict[ObjectKey, _Object] = {}
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
            _slot(server, reference): reference for reference in references if self._is_new(server, reference)
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
            if one.rolls and (digest := self._objects[_slot(server, one)].seen.digests[one.key])
        )
        return Resolved(awaited=awaited, digest=self._digests.all_of(parts))

    def forget(self, server: Key) -> None:
        """The server is gone: what nobody else uses isn't looked at any more."""
        for slot in self._uses.pop(server, ()):
            self._leave(server, slot)

    async def run(self) -> None:
        """Look at everything again and again, until cancelled."""
        free = asyncio.Semaphore(LOOKS_AT_ONCE)
        async with asyncio.TaskGroup() as looks:
            while True:
                await free.acquire()
                slot = await self._schedule.turn()
                look = looks.create_task(self._poll(self._objects[slot]))
                look.add_done_callback(lambda _: free.release())

    def _register(self, server: Key, references: Collection[Reference]) -> None:
        used: dict[ObjectKey, dict[str | None, None]] = {}
        for reference in references:
            used.setdefault(_slot(server, reference), {})[reference.key] = None
        former = self._uses.get(server, ())
        self._uses[server] = tuple(used)
        for slot, keys in used.items():
            if slot not in self._objects:
                self._objects[slot] = _Object(slot)
            self._objects[slot].users[server] = tuple(keys)
        for slot in former:
            if slot not in used:
                self._leave(server, slot)
        if not used:
            del self._uses[server]

    def _leave(self, server: Key, slot: ObjectKey) -> None:
        left = self._objects[slot]
        del left.users[server]
        if not left.users:
            del self._objects[slot]
            self._schedule.remove(slot)

    def _is_new(self, server: Key, reference: Reference) -> bool:
        """Whether memory has no answer. Our own object the caller may have made a moment ago."""
        seen = self._objects[_slot(server, reference)].seen
        return reference.key not in seen.digests or (reference.own and seen.version == _MISSING)

    async def _ask(self, server: Key, reference: Reference) -> None:
        asked = self._objects[_slot(server, reference)]
        async with asked.lock:
            if not self._is_new(server, reference):
                return  # somebody else has asked meanwhile
            if asked.trouble and asked.seen is _NOTHING:
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

    async def _poll(self, due: _Object) -> None:
        async with due.lock:
            before = due.seen
            try:
                if await self._is_stale(due):
                    await self._look(due)
                    self._tell(due, before)
                due.trouble = ""
            except (Refused, Conflict, Unavailable) as error:
                if not due.trouble:
                    log.warning("a reference can't be looked at", object=str(due.slot), error=str(error))
                due.trouble = str(error)
            except Exception:
                # A bug in one look must not end all the others.
                log.exception("unexpected error in a look at a reference", object=str(due.slot))
            finally:
                self._plan(due)

    async def _is_stale(self, known: _Object) -> bool:
        """Whether the object may be another than what was seen: what is in it isn't fetched to find out."""
        if not known.used() <= known.seen.digests.keys():
            return True
        try:
            head = await self._api.get_metadata(*known.slot)
        except Forbidden:
            return known.seen.version != _FORBIDDEN
        return known.seen.version != (head["metadata"]["resourceVersion"] if head else _MISSING)

    async def _look(self, at: _Object) -> None:
        try:
            body = await self._api.get(*at.slot)
            version = body["metadata"]["resourceVersion"] if body else _MISSING
        except Forbidden:
            body, version = None, _FORBIDDEN
        at.seen = _Seen(version, {key: self._digests.value(body, key) if body else b"" for key in at.used()})

    def _tell(self, at: _Object, before: _Seen, asker: Key | None = None) -> None:
        """Tell the users of keys that are no longer as `before`; an asker has got its answer."""
        changed = {key for key in at.seen.digests if before.of(key) != at.seen.of(key)}
        if asker is not None:
            # Those to whom a key is new are asking as well.
            changed &= before.digests.keys()
        for user, keys in list(at.users.items()):
            if user != asker and not changed.isdisjoint(keys):
                self._on_change(user)

    def _plan(self, at: _Object, *, first: bool = False) -> None:
        """Look again later, if anybody still uses the object."""
        if self._objects.get(at.slot) is not at:
            return
        seconds = self._poll_seconds if at.is_complete() else min(MISSING_SECONDS, self._poll_seconds)
        namespace = at.slot.key.namespace
        if first:
            # A start finds everything at once: anywhere within the interval, so that it stays spread.
            self._schedule.add(at.slot, namespace, seconds / 2, spread=1)
        else:
            self._schedule.add(at.slot, namespace, seconds)

    def _problems(self, server: Key, references: Iterable[Reference]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (self._problem(server, one) for one in references))))

    def _problem(self, server: Key, reference: Reference) -> str:
        """What a user has to do about a reference; nothing when it is all right."""
        slot = _slot(server, reference)
        seen = self._objects[slot].seen
        if reference.own or seen.digests[reference.key]:
            return ""
        if seen.version == _FORBIDDEN:
            advice = (
                f"can't be read by the operator; give its role the verb get on {slot.kind.plural} "
                f"in namespace {slot.key.namespace}"
            )
        elif seen.version == _MISSING:
            key = f' with the key "{reference.key}"' if reference.key else ""
            advice = f"doesn't exist; create it{key}"
        else:
            advice = f'has no value under the key "{reference.key}"; add one, or name another key'
        return f"{reference.field}: {slot} {advice}"


def _slot(server: Key, reference: Reference) -> ObjectKey:
    return ObjectKey(reference.kind, Key(server.namespace, reference.name))
