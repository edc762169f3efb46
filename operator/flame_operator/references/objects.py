"""Holds what is known of the Secrets and ConfigMaps that servers use."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from flame_operator.resource.kinds import Key, Kind

# These stand for the resource version of an object that can't be read. Real ones are numbers.
MISSING = "missing"
FORBIDDEN = "forbidden"


class ObjectKey(NamedTuple):
    """The key of a Secret or ConfigMap, with its kind."""

    kind: Kind
    key: Key

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.key}"


class Seen(NamedTuple):
    """The result of the last look at an object."""

    version: str
    digests: dict[str | None, bytes]
    """The digest of each key that was in use then; empty when the key is missing or its value is empty."""

    def of(self, key: str | None) -> tuple[str, bytes] | None:
        """The part of the result that matters to a key's users, to be compared; None when it is unknown."""
        if key not in self.digests:
            return None
        return self.version if self.version in (MISSING, FORBIDDEN) else "", self.digests[key]


NOTHING_SEEN = Seen("", {})


@dataclass(slots=True, eq=False)
class UsedObject:
    """A Secret or ConfigMap that servers use."""

    object_key: ObjectKey
    users: dict[Key, tuple[str | None, ...]] = field(default_factory=dict)
    """The servers that use the object, and the keys that each uses."""
    seen: Seen = NOTHING_SEEN
    trouble: str = ""
    """Why the last look failed; empty when it succeeded."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held during a look, so that others who need one wait for its result."""

    def used(self) -> set[str | None]:
        """All keys of the object that any server uses; None stands for the object as a whole."""
        return set().union(*self.users.values())

    def is_complete(self) -> bool:
        """Whether every key that is used has a value."""
        return all(self.seen.digests.get(key) for key in self.used())
