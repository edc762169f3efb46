"""The Secrets and ConfigMaps that servers use, and what the last look at each has found."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from flame_operator.resource.kinds import Key, Kind

# What stands for the resource version of an object that can't be read. Real ones are numbers.
MISSING = "missing"
FORBIDDEN = "forbidden"


class ObjectKey(NamedTuple):
    """Names a Secret or a ConfigMap."""

    kind: Kind
    key: Key

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.key}"


class Seen(NamedTuple):
    """What a look at an object found."""

    version: str
    digests: dict[str | None, bytes]
    """Of each key that was used then; empty where the key is missing, or its value empty."""

    def of(self, key: str | None) -> tuple[str, bytes] | None:
        """What was found of a key, equal if nothing changed for its users; None when nobody looked for it."""
        if key not in self.digests:
            return None
        return self.version if self.version in (MISSING, FORBIDDEN) else "", self.digests[key]


NOTHING_SEEN = Seen("", {})


@dataclass(slots=True, eq=False)
class UsedObject:
    """A Secret or a ConfigMap that servers use."""

    object_key: ObjectKey
    users: dict[Key, tuple[str | None, ...]] = field(default_factory=dict)
    """The servers, and which keys each uses."""
    seen: Seen = NOTHING_SEEN
    trouble: str = ""
    """Why the last look came to nothing."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held during a look: whoever else wants one waits for its result."""

    def used(self) -> set[str | None]:
        """All keys that any server uses; None stands for the object as a whole."""
        return set().union(*self.users.values())

    def is_complete(self) -> bool:
        """Whether every key that is used has a value."""
        return all(self.seen.digests.get(key) for key in self.used())
