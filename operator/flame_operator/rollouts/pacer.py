"""Gives servers turns to replace their pods: a changed Secret must not restart all its users at once."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from flame_operator.resource.kinds import Key

LONGEST_SECONDS = 900.0
"""How long a turn lasts at most; then the next server gets its turn, whatever the state of this one."""


class _Turn(NamedTuple):
    """The turn of a server that is replacing its pods."""

    until: float
    broken: bool
    """Whether the server waited among those without a ready pod."""


@dataclass
class _Line:
    """The servers of one namespace that roll or wait; those that wait are in order of arrival."""

    rolling: dict[Key, _Turn] = field(default_factory=dict)
    broken: dict[Key, None] = field(default_factory=dict)
    healthy: dict[Key, None] = field(default_factory=dict)

    def leave(self, key: Key) -> None:
        for place in (self.rolling, self.broken, self.healthy):
            place.pop(key, None)


class Pacer:
    """Lets a few servers of each namespace replace their pods at a time, first come, first served.

    References stay within a namespace, so all servers that share an object are in the same one. Servers
    without a ready pod go first, because they have nothing to lose. But they may stay broken, so one turn is
    reserved for the others if there are at least two turns.

    The pacer remembers nothing across restarts. After a start, call `resume` for all Deployments that are
    rolling (`is_rolling`) before the first `admit`; otherwise twice as many may roll for a while.

    Args:
        parallelism: How many servers of a namespace replace pods at a time.
        on_turn: Called with a server that had to wait and may begin now: its next `admit` returns True.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        parallelism: int,
        on_turn: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parallelism = parallelism
        self._on_turn = on_turn
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    @property
    def waiting(self) -> int:
        """How many servers wait for their turn."""
        return sum(len(line.broken) + len(line.healthy) for line in self._lines.values())

    def admit(self, key: Key, *, broken: bool) -> bool:
        """Whether a server may replace its pods now; if not, `on_turn` is called when it may.

        A turn lasts until `done` is called or it expires.

        Args:
            key: The server.
            broken: Whether the server has no ready pod.
        """
        line = self._lines.setdefault(key.namespace, _Line())
        if key in line.rolling:
            return True
        if broken:
            line.healthy.pop(key, None)
            line.broken.setdefault(key)
        elif key not in line.broken:
            line.healthy.setdefault(key)
        for admitted in list(self._admitted(line)):
            if admitted != key:
                self._on_turn(admitted)
        return key in line.rolling

    def resume(self, key: Key) -> None:
        """Give a turn to a server whose pods are already being replaced, even if no turn is free."""
        line = self._lines.setdefault(key.namespace, _Line())
        line.leave(key)
        line.rolling[key] = self._turn(broken=False)

    def done(self, key: Key) -> None:
        """End a server's turn or its waiting: it has nothing to replace, has failed, or is gone.

        May be called at any time.
        """
        line = self._lines.get(key.namespace)
        if line is None:
            return
        line.leave(key)
        self._give_free_turns(key.namespace, line)

    def expire(self) -> tuple[Key, ...]:
        """End turns that take too long; to be called periodically.

        Returns:
            The servers whose turns have ended.
        """
        expired = []
        for namespace, line in list(self._lines.items()):
            late = [key for key, turn in line.rolling.items() if turn.until <= self._clock()]
            for key in late:
                line.leave(key)
            self._give_free_turns(namespace, line)
            expired += late
        return tuple(expired)

    def _give_free_turns(self, namespace: str, line: _Line) -> None:
        for admitted in list(self._admitted(line)):
            self._on_turn(admitted)
        if not (line.rolling or line.broken or line.healthy):
            del self._lines[namespace]

    def _admitted(self, line: _Line) -> Iterator[Key]:
        """Give free turns to waiting servers; yields the servers that got one."""
        while len(line.rolling) < self._parallelism:
            broken = sum(turn.broken for turn in line.rolling.values())
            if line.broken and broken < max(1, self._parallelism - 1):
                waiting = line.broken
            elif line.healthy:
                waiting = line.healthy
            else:
                return
            key = next(iter(waiting))
            del waiting[key]
            line.rolling[key] = self._turn(broken=waiting is line.broken)
            yield key

    def _turn(self, *, broken: bool) -> _Turn:
        return _Turn(self._clock() + LONGEST_SECONDS, broken)
