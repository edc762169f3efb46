"""Errors for users: each becomes a plain line with an exit code, or an error of an MCP tool."""

from typing import Literal

Kind = Literal["user", "world", "held"]


class FlameMcpError(Exception):
    """A failure that the user can act on; its text says what to do.

    Attributes:
        kind: "user" when the user has to fix it, "world" when it may pass by itself, "held" when a new index
            was held back and somebody has to decide.
    """

    kind: Kind = "user"


class UnavailableError(FlameMcpError):
    """Something that the server needs is unavailable, or refuses. Most often it recovers by itself."""

    def __init__(self, text: str, kind: Kind = "world") -> None:
        super().__init__(text)
        self.kind = kind


class HeldBackError(FlameMcpError):
    """A new index is not good enough to replace the current one."""

    kind = "held"


class SettingsError(Exception):
    """An environment variable has an unusable value; the text names the variable."""
