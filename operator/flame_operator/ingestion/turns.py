"""Gives servers turns to load docs, fair to every namespace; each turn ends, whatever its owner does."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flame_operator.resource.kinds import Key
from flame_operator.shares import may_have_one_more
from flame_operator.workloads.jobs import Activity

LONGEST_SECONDS = 600.0
"""How long a turn lasts at most; a run that takes longer goes on without one."""
SHORTEST_SECONDS = 60.0
"""How long a turn lasts at least; the more namespaces wait for a first load, the closer to it."""
FIRST_IN_A_ROW = 3
"""How many turns in a row go to first loads before one goes to the namespace that has waited longest."""
RUNS_PER_TURN = 2
"""How many runs may be under way for each turn, over all namespaces that have one or wait for one.

A namespace that has no run may always start one.
"""
IDLE_SECONDS = 60.0
"""How long a turn lasts whose run has no container that works, or that its server doesn't take."""
SHORT_IDLE_SECONDS = 10.0
"""The same, while a namespace waits for its first load and has no run at all."""
NO_NODE_SECONDS = 3.0
"""The same then, of a run whose pod has no node yet: a scheduler needs far less."""
UNSEEN_SECONDS = 600.0
"""How long a turn lasts when no pass tells of its run; a pass that fails comes back within 300 s."""

_Lines = dict[str, OrderedDict[Key, None]]
"""Who waits, by namespace; each line in the order of arrival."""


@dataclass(slots=True)
class _Turn:
    """A server's turn, or what is left of it; all times are of the clock."""

    began: float
    seen: float
    idle_since: float | None = None
    offered: bool = False
    """Whether the server hasn't taken it yet."""
    activity: Activity = "waiting"

    @property
    def works(self) -> bool:
        return self.activity == "working"

    def ends(self, longest: float, *, hurries: bool) -> float:
        """When it is over, if nothing else happens: it may last so long, less if somebody hurries."""
        if self.activity == "stuck":
            return -math.inf
        idle = SHORT_IDLE_SECONDS if hurries else IDLE_SECONDS
        if self.offered:
            return self.began + idle
        if hurries and self.activity == "waiting":
            idle = NO_NODE_SECONDS
        end = self.began + longest
        return end if self.idle_since is None else min(end, self.idle_since + idle)

    def is_over(self, now: float, longest: float, *, hurries: bool) -> bool:
        return now > self.ends(longest, hurries=hurries)

    def is_unseen(self, now: float) -> bool:
        return now - self.seen > UNSEEN_SECONDS


class Turns:
    """Lets a few servers load docs at once, so that an upgrade doesn't make all of them load together.

    A namespace leaves turns free for others (`shares.may_have_one_more`). First loads go before others: a
    free turn goes to the namespace with one that has the fewest runs, and among those to the one that has
    waited longest since it last got a turn; within it, first come, first served. Every fourth turn goes to
    the namespace that has waited longest, whatever it has, so that nobody waits for ever.

    A turn ends with the run, and before that when the run's pod doesn't work for a while, can't start,
    or takes too long: `LONGEST_SECONDS`, or less if not all who wait for a first load would get a turn within
    that time. A run that has lost its turn goes on. It counts for its namespace when turns are given, and has
    a turn again if its pod works after all and a turn is free. Runs that work are bounded, with a
    turn or without: two for each turn, divided between the namespaces that have runs or wait, and at least
    one for each of them.

    Nothing is remembered across restarts. After a start, call `going` for all runs that are under way before
    the first `take`.

    Args:
        most: How many servers load docs at once.
        on_turn: Called with a server that had to wait and may begin now: its next `take` returns True.
        clock: A monotonic clock, in seconds.
        call_later: Starts a timer that ends turns in time while somebody waits. Without it, they end when
            somebody takes or has a turn.
    """

    def __init__(
        self,
        most: int,
        on_turn: Callable[[Key], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._most = most
        self._on_turn = on_turn
        self._clock = clock
        self._turns: dict[Key, _Turn] = {}
        # Those that have been seen longest ago come first.
        self._overdue: dict[Key, _Turn] = {}
        # Lines for first loads and for others, and since when each namespace has waited.
        self._firsts: _Lines = {}
        self._others: _Lines = {}
        self._since: dict[str, float] = {}
        self._firsts_in_a_row = 0
        self._call_later = call_later
        self._wakes = False

    @property
    def held(self) -> frozenset[Key]:
        """The servers that have a turn."""
        return frozenset(self._turns)

    @property
    def waiting(self) -> int:
        """How many servers wait for a turn."""
        return sum(len(line) for lines in (self._firsts, self._others) for line in lines.values())

    @property
    def longest(self) -> float:
        """How long a turn lasts at most, in seconds, as many as wait now."""
        return max(SHORTEST_SECONDS, LONGEST_SECONDS * min(1.0, self._most / max(1, len(self._firsts))))

    @property
    def hurries(self) -> bool:
        """Whether a namespace waits for its first load that has no run at all.

        A pod that doesn't work costs nobody anything. So such a namespace needn't wait for pods of others
        that don't start; whose pods do start later has a turn again.
        """
        have = {key.namespace for key in (*self._turns, *self._overdue)} if self._firsts else set()
        return bool(self._firsts.keys() - have)

    def take(self, key: Key, *, first: bool = False) -> bool:
        """Take a turn for a new run, or else wait in line: then `on_turn` is called when it comes.

        Args:
            key: The server.
            first: Whether it has no docs yet.
        """
        now = self._clock()
        self._end()
        self._overdue.pop(key, None)
        if key in self._turns and not self._turns[key].offered:
            del self._turns[key]  # the turn of a run that has ended: the next run waits like everybody else's
        if key not in self._turns:
            self._since.setdefault(key.namespace, now)
            here, elsewhere = (self._firsts, self._others) if first else (self._others, self._firsts)
            _remove(elsewhere, key)
            here.setdefault(key.namespace, OrderedDict()).setdefault(key)
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
            activity=activity,
        )
        self._leave(key)
        ended = self._end()
        # Runs without a turn may start to work all at once: they must not take the turns of everybody else.
        has_turn = not turn.is_over(now, self.longest, hurries=self.hurries) and (
            keeps or self._has_room(key.namespace)
        )
        (self._turns if has_turn else self._overdue)[key] = turn
        if ended or before is None or has_turn != keeps or turn.works != before.works:
            self._give()

    def release(self, key: Key) -> None:
        """End a server's turn or its waiting: it has no run, and none is due. May be called at any time."""
        if self._leave(key):
            self._give()

    def _leave(self, key: Key) -> bool:
        found = [place.pop(key, None) is not None for place in (self._turns, self._overdue)]
        found += [_remove(self._firsts, key), _remove(self._others, key)]
        self._tidy(key.namespace)
        return any(found)

    def _has_room(self, namespace: str) -> bool:
        held = sum(key.namespace == namespace for key in self._turns)
        return may_have_one_more(held, self._most - len(self._turns))

    def _tidy(self, namespace: str) -> None:
        if namespace not in self._firsts and namespace not in self._others:
            self._since.pop(namespace, None)

    def _give(self, asker: Key | None = None) -> None:
        """End the turns that are over, and give free turns to those who wait."""
        self._end()
        for key in self._next():
            now = self._clock()
            self._turns[key] = _Turn(now, now, offered=True)
            if key != asker:
                self._on_turn(key)
        self._wake_in_time()

    def _wake_in_time(self) -> None:
        """Look again when the next turn is over, if somebody waits for it."""
        if self._wakes or self._call_later is None or not self._since or not self._turns:
            return
        longest, hurries = self.longest, self.hurries
        end = min(turn.ends(longest, hurries=hurries) for turn in self._turns.values())
        self._wakes = True
        self._call_later(max(1.0, end - self._clock() + 0.1), self._woken)

    def _woken(self) -> None:
        self._wakes = False
        self._give()

    def _end(self) -> bool:
        """End turns that are over; returns whether any was."""
        now, longest, hurries = self._clock(), self.longest, self.hurries
        over = [
            key
            for key, turn in self._turns.items()
            if turn.is_over(now, longest, hurries=hurries) or turn.is_unseen(now)
        ]
        for key in over:
            turn = self._turns.pop(key)
            if not (turn.offered or turn.is_unseen(now)):
                self._overdue[key] = turn
        while self._overdue:
            oldest = next(iter(self._overdue))
            if not self._overdue[oldest].is_unseen(now):
                break
            del self._overdue[oldest]
            over.append(oldest)
        return bool(over)

    def _next(self) -> Iterator[Key]:
        while self._since and len(self._turns) < self._most:
            runs = Counter(key.namespace for key in (*self._turns, *self._overdue))
            may_run = self._those_that_may_run(runs)
            firsts = [namespace for namespace in may_run if namespace in self._firsts]
            if firsts and self._firsts_in_a_row < FIRST_IN_A_ROW:
                chosen = min(firsts, key=lambda namespace: (runs[namespace], self._since[namespace]))
                self._firsts_in_a_row += 1
            elif may_run:
                chosen = min(may_run, key=self._since.__getitem__)
                self._firsts_in_a_row = 0
            else:
                return
            lines = self._firsts if chosen in self._firsts else self._others
            key = next(iter(lines[chosen]))
            _remove(lines, key)
            self._since[chosen] = self._clock()
            self._tidy(chosen)
            yield key

    def _those_that_may_run(self, runs: Counter[str]) -> list[str]:
        """The namespaces that wait and may have one more run, of those that have so many."""
        held = Counter(key.namespace for key in self._turns)
        working = held + Counter(key.namespace for key, turn in self._overdue.items() if turn.works)
        free = self._most - len(self._turns)
        most = RUNS_PER_TURN * self._most
        share = max(1, most // len(runs.keys() | self._since.keys()))
        return [
            namespace
            for namespace in self._since
            if may_have_one_more(held[namespace], free)
            and working[namespace] < share
            and runs[namespace] < most
        ]


def _remove(lines: _Lines, key: Key) -> bool:
    line = lines.get(key.namespace)
    if line is None or key not in line:
        return False
    del line[key]
    if not line:
        del lines[key.namespace]
    return True
