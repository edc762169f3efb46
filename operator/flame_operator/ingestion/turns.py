"""Limits how many servers load docs at once."""

from flame_operator.resource.kinds import Key


class Turns:
    """Counts the servers that load docs, so that an upgrade doesn't make all of them load at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: set[Key] = set()

    def are_left(self, key: Key) -> bool:
        """Whether this server may start a run."""
        return key in self._busy or len(self._busy) < self._most

    def note(self, key: Key, *, busy: bool) -> None:
        """Note whether a server has a running Job."""
        if busy:
            self._busy.add(key)
        else:
            self._busy.discard(key)
