"""Bounds text that people read: the output of containers, and the messages of conditions."""

MESSAGE_LENGTH = 1024
"""The longest message of a condition, in characters; the CRD has the same bound."""


def plain(value: object, length: int) -> str:
    """A value as printable text of at most `length` characters; "" for anything that isn't text."""
    if not isinstance(value, str):
        return ""
    # Bounded first, so that a huge text costs little: what lies beyond the bound isn't worth looking at.
    printable = "".join(char if char.isprintable() else " " for char in value[: 4 * length])
    text = " ".join(printable.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def cut(message: str) -> str:
    """A message, shortened to what the CRD allows for a condition."""
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
