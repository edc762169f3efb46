"""Gives servers turns to load docs, fair to every namespace; each turn ends, whatever its owner does."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flame_operator.resource.kinds import Key
from flame_operator.workloads.jobs import Activity

LONGEST_SECONDS = 600.0
"""How long a turn lasts at most; a run that takes longer goes on without one."""
IDLE_SECONDS = 60.0
"""How long a run may have no container that works before its turn ends."""
UNSEEN_SECONDS = 600.0
"""How long a turn lasts when no pass tells of its run; a pass that fails comes back within 300 s."""
OFFER_SECONDS = 120.0
"""How long a turn is kept for a server that has waited for it and has to be looked at first."""


@dataclass(slots=True)
class _Turn:
    """A server's turn, or what is left of it; all times are of the clock."""

    began: float
    seen: float
    idle_since: float | None = None
    offered: bool = False
    """Whether the server hasn't taken it yet."""
    stuck: bool = False

    def is_over(self, now: float) -> bool:
        if self.offered:
            return now - self.began > OFFER_SECONDS
        idle = self.idle_since is not None and now - self.idle_since > IDLE_SECONDS
        return self.stuck or idle or now - self.began > LONGEST_SECONDS

    def is_unseen(self, now: float) -> bool:
        return now - self.seen > UNSEEN_SECONDS


class Turns:
    """Lets a few servers load docs at once, so that an upgrade doesn't make all of them load together.

    A namespace has at most half of the turns. A free turn goes to the namespace that has the fewest runs, and
    among those to the one that has waited longest since it last got a turn; within it, first come, first
    served. A turn ends with the run, and before that when the run's pod doesn't work for `IDLE_SECONDS`,
    can't start, or takes longer than `LONGEST_SECONDS`. A run that has lost its turn goes on. It counts for
    its namespace when turns are given, and has a turn again if its pod works after all and a turn is free.

    Nothing is remembered across restarts. After a start, call `going` for all runs that are under way before
    the first `take`.

    Args:
        most: How many servers load docs at once.
        on_turn: Called with a server that had to wait and may begin now: its next `take` returns True.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        most: int,
        on_turn: Callable[[Key], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._share = max(1, most // 2)
        self._on_turn = on_turn
        self._clock = clock
        self._turns: dict[Key, _Turn] = {}
        # Those that have been seen longest ago come first.
        self._overdue: dict[Key, _Turn] = {}
        # Each line in the order of arrival, with the time from which its namespace counts as waiting.
        self._lines: dict[str, OrderedDict[Key, None]] = {}
        self._since: dict[str, float] = {}

    @property
    def held(self) -> frozenset[Key]:
        """The servers that have a turn."""
        return frozenset(self._turns)

    @property
    def waiting(self) -> int:
        """How many servers wait for a turn."""
        return sum(map(len, self._lines.values()))

    def take(self, key: Key) -> bool:
        """Take a turn for a new run, or else wait in line: then `on_turn` is called when it comes."""
        now = self._clock()
        self._end()
        self._overdue.pop(key, None)
        if key in self._turns and not self._turns[key].offered:
            del self._turns[key]  # the turn of a run that has ended: the next run waits like everybody else's
        if key not in self._turns:
            self._lines.setdefault(key.namespace, OrderedDict()).setdefault(key)
            self._since.setdefault(key.namespace, now)
            self._give(asker=key)
        if key not in self._turns:
            return False
        self._turns[key] = _Turn(now, now, idle_since=now)
        return True

    def going(self, key: Key, *, seconds: float, activity: Activity) -> None:
        """Note that a server has a run; it may have been started by another process.

        Args:
            key: The server.
            seconds: How long ago the run started.
            activity: What its pods do.
        """
        now = self._clock()
        before = self._turns.get(key) or self._overdue.get(key)
        keeps = key in self._turns
        idle_since = before.idle_since if before is not None and before.idle_since is not None else now
        turn = _Turn(
            began=now - max(0.0, seconds),
            seen=now,
            idle_since=None if activity == "working" else idle_since,
            stuck=activity == "stuck",
        )
        self._leave(key)
        self._end()
        # Runs without a turn may start to work all at once: they must not take the turns of everybody else.
        has_turn = not turn.is_over(now) and (keeps or self._has_room(key.namespace))
        (self._turns if has_turn else self._overdue)[key] = turn
        self._give()

    def release(self, key: Key) -> None:
        """End a server's turn or its waiting: it has no run, and none is due. May be called at any time."""
        if self._leave(key):
            self._give()

    def _leave(self, key: Key) -> bool:
        found = [place.pop(key, None) is not None for place in (self._turns, self._overdue)]
        line = self._lines.get(key.namespace)
        if line is not None and key in line:
            del line[key]
            found.append(True)
            self._tidy(key.namespace)
        return any(found)

    def _has_room(self, namespace: str) -> bool:
        held = sum(key.namespace == namespace for key in self._turns)
        return len(self._turns) < self._most and held < self._share

    def _tidy(self, namespace: str) -> None:
        if not self._lines[namespace]:
            del self._lines[namespace], self._since[namespace]

    def _give(self, asker: Key | None = None) -> None:
        """End the turns that are over, and give free turns to those who wait."""
        self._end()
        for key in self._next():
            now = self._clock()
            self._turns[key] = _Turn(now, now, offered=True)
            if key != asker:
                self._on_turn(key)

    def _end(self) -> None:
        now = self._clock()
        for key in [key for key, turn in self._turns.items() if turn.is_over(now) or turn.is_unseen(now)]:
            turn = self._turns.pop(key)
            if not (turn.offered or turn.is_unseen(now)):
                self._overdue[key] = turn
        while self._overdue:
            oldest = next(iter(self._overdue))
            if not self._overdue[oldest].is_unseen(now):
                return
            del self._overdue[oldest]

    def _next(self) -> Iterator[Key]:
        while self._lines and len(self._turns) < self._most:
            held = Counter(key.namespace for key in self._turns)
            runs = held + Counter(key.namespace for key in self._overdue)
            waiting = [namespace for namespace in self._lines if held[namespace] < self._share]
            if not waiting:
                return
            chosen = min(waiting, key=lambda namespace: (runs[namespace], self._since[namespace]))
            key, _ = self._lines[chosen].popitem(last=False)
            self._since[chosen] = self._clock()
            self._tidy(chosen)
            yield key
