"""Decides how many objects a page of a list may have, so that a page stays small in bytes. Pure."""

PAGE = 250
"""The most objects of a page."""
PAGE_BYTES = 512 * 1024
"""The most bytes of a page with more than one object.

Parsed, a page of the worst kind takes twelve times as much memory, and its parsing some 20 ms of CPU.
"""
OBJECT_BYTES = 16 * 1024 * 1024
"""The most bytes of a page with a single object.

It is more than an object of etcd's 1.5 MB can have, even if all of it is control characters.
"""


def smaller_limit(limit: int) -> int:
    """How many objects to ask for after a page of up to `limit` objects was too large."""
    return max(1, limit // 4)


def next_limit(limit: int, size: int) -> int:
    """How many objects to ask for after a page of up to `limit` objects that had `size` bytes."""
    return min(PAGE, limit * 4) if size * 4 < PAGE_BYTES else limit
