"""Cursors: where an answer stopped, as a text that any replica can read."""

import base64
import hashlib
import json
from dataclasses import dataclass

from fastmcp.exceptions import ToolError

from flame_server.serving.tools.arguments import mistake

_MOST_CHARS = 200
_MOST = 10_000_000
_KEY_CHARS = 16


@dataclass(frozen=True)
class Cursor:
    """A place in the answer to one query.

    Attributes:
        key: Identifies the query and the index, see `key_of`.
        number: How many texts come before.
        at: The character of the next text at which to continue.
    """

    key: str
    number: int
    at: int

    def __str__(self) -> str:
        packed = json.dumps([self.key, self.number, self.at], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def check(self, key: str) -> None:
        """Refuses a cursor of another query, and any cursor after the docs or the way of searching changed.

        Raises:
            ToolError: The key differs.
        """
        if key != self.key:
            raise foreign_cursor()


def foreign_cursor() -> ToolError:
    """The error for a cursor that does not belong to this query."""
    return mistake(
        "this cursor belongs to other arguments, or the docs have changed since: ask again without a cursor"
    )


def key_of(*parts: object) -> str:
    """A key that identifies a query and the index that it searches."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_KEY_CHARS]


def read_cursor(text: str | None) -> Cursor | None:
    """The cursor that a model sent back.

    Raises:
        ToolError: It is not a cursor of this server.
    """
    if text is None:
        return None
    match _unpacked(text):
        case [str(key), int(number), int(at)] if 0 <= number <= _MOST and 0 <= at <= _MOST:
            return Cursor(key, number, at)
    raise mistake("cursor is not one of this server: use next_cursor of an answer, or leave it out")


def _unpacked(text: str) -> object:
    if len(text) > _MOST_CHARS:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return None
