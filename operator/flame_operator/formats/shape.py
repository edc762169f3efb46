"""Reads parts of JSON values whose types nobody has promised: what is of another type counts as absent.

Live objects, their annotations and what containers say may hold anything. Code that reads them must not raise
because of it: what somebody else has written is data, and never a bug of the operator.
"""

from typing import Any

LARGEST = 2**31 - 1
"""The largest number that the status has room for; the CRD has the same bound."""


def mapping(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """The JSON objects in a list; none when the value isn't a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def number(value: object, most: int = LARGEST) -> int | None:
    """The value if it is a whole number from 0 to `most`, else None."""
    return value if type(value) is int and 0 <= value <= most else None


def at(value: object, *path: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value at a path of names, or None when there is none."""
    for name in path:
        value = mapping(value).get(name)
    return value
