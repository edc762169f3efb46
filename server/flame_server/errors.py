"""The exceptions that tell a user what to do: a plain line and an exit code, or a tool's error."""

from typing import Literal

Kind = Literal["user", "world", "held"]


class FlameMcpError(Exception):
    """A failure that the user can act on; its text says what to do.

    Attributes:
        kind: Who has to do something: the user, nobody as it passes by itself, or whoever wants an index that
            was held back.
    """

    kind: Kind = "user"


class UnavailableError(FlameMcpError):
    """Something that the server needs is away for now, or refuses; most often it recovers alone."""

    def __init__(self, text: str, kind: Kind = "world") -> None:
        super().__init__(text)
        self.kind = kind


class HeldBackError(FlameMcpError):
    """A new index isn't good enough to take the place of the one that is searched."""

    kind = "held"


class SettingsError(Exception):
    """A variable has a value that cannot be used; the text names it."""
