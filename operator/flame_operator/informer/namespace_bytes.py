"""Bounds what the large objects of one namespace take in the cache. Pure."""

from flame_operator.resource.kinds import Key

COMMON = 2 * 1024
"""The most bytes that a common object takes, compressed: these have 100 to 800."""
NAMESPACE_BYTES = 4 * 1024 * 1024
"""The most bytes that all larger ones of a namespace take."""

Slot = tuple[str, Key]
"""A kind and the key of an object."""


class NamespaceBytes:
    """Knows the large objects of each namespace, and how many bytes they take."""

    def __init__(self) -> None:
        self._large: dict[str, dict[Slot, int]] = {}

    def fits(self, slot: Slot, size: int) -> bool:
        """Whether there is room for an object of so many bytes, instead of its earlier version."""
        if size <= COMMON:
            return True
        large = self._large.get(slot[1].namespace, {})
        return sum(large.values()) - large.get(slot, 0) + size <= NAMESPACE_BYTES

    def note(self, slot: Slot, size: int) -> None:
        """Note how many bytes an object takes now; 0 when it is gone."""
        namespace = slot[1].namespace
        if size > COMMON:
            self._large.setdefault(namespace, {})[slot] = size
        elif namespace in self._large:
            self._large[namespace].pop(slot, None)
            if not self._large[namespace]:
                del self._large[namespace]
