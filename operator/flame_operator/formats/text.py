"""Text that people read, bounded: what a container says, and what a condition has room for."""

MESSAGE_LENGTH = 1024
"""Characters; the CRD bounds a condition's message to the same."""


def plain(value: object, length: int) -> str:
    """A text of at most so many characters, all of them printable; "" for what isn't text."""
    if not isinstance(value, str):
        return ""
    # Bounded first: what comes after the bound isn't worth looking at.
    printable = "".join(char if char.isprintable() else " " for char in value[: 4 * length])
    text = " ".join(printable.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def cut(message: str) -> str:
    """As much of a message as the schema has room for."""
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
