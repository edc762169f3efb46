"""The connections of one listener: how many there may be, and which is given up when there are too many."""

from collections.abc import Callable
from typing import Literal, Protocol

# In memory each costs at most what an unfinished request may hold: a head of 16 KiB, a body of 64 KiB twice.
MAX_CONNECTIONS = 512
Reason = Literal["head", "body", "write", "full"]
# What a connection does: waits for the rest of a request, waits for another request or for its client to
# read, or has a request that is being answered.
Doing = Literal["unfinished", "idle", "answering"]


class Member(Protocol):
    """A connection in the crowd."""

    def abort(self) -> None:
        """Closes the connection at once."""
        ...


class Crowd:
    """Lets new connections in at the cost of those that wait: unfinished requests first, the oldest first.

    So a client that sends its request at once gets its answer beside any number of slow ones: when its turn
    to be given up would come, its request is complete, and such connections are never given up.

    Args:
        most: How many connections there may be.
        gave_up: Called with the reason for each connection that was closed before its client was done.
    """

    def __init__(self, most: int, gave_up: Callable[[Reason], None]) -> None:
        self._most = most
        self._gave_up = gave_up
        self._closing = False
        self._members: dict[Member, Doing] = {}
        # Dictionaries keep their order: the first is the oldest.
        self._unfinished: dict[Member, None] = {}
        self._idle: dict[Member, None] = {}

    def __len__(self) -> int:
        return len(self._members)

    def enter(self, member: Member) -> bool:
        """Adds a new connection; False when all others are being answered, or the server stops."""
        if self._closing:
            return False
        while len(self._members) >= self._most:
            oldest = next(iter(self._unfinished or self._idle), None)
            if oldest is None:
                self._gave_up("full")
                return False
            self.give_up(oldest, "full")
        self._members[member] = "unfinished"
        self._unfinished[member] = None
        return True

    def let_nobody_in(self) -> None:
        """Turns away what was accepted just before the listener was closed."""
        self._closing = True

    def move(self, member: Member, doing: Doing) -> None:
        """Notes what a connection does now; its age counts from here."""
        if member not in self._members:
            return
        self._forget(member)
        self._members[member] = doing
        if doing == "unfinished":
            self._unfinished[member] = None
        elif doing == "idle":
            self._idle[member] = None

    def leave(self, member: Member) -> None:
        """Removes a connection that is closed; harmless when it has left already."""
        if self._members.pop(member, None):
            self._forget(member)

    def give_up(self, member: Member, reason: Reason) -> None:
        """Closes a connection and counts it."""
        if member in self._members:
            self.leave(member)
            self._gave_up(reason)
            member.abort()

    def _forget(self, member: Member) -> None:
        self._unfinished.pop(member, None)
        self._idle.pop(member, None)
