"""What the references of a server came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resolved:
    """What a server's references came to."""

    problems: tuple[str, ...] = ()
    """What pods can't do without, and what to do about it, in the order of the references."""
    awaited: tuple[str, ...] = ()
    """What else is missing: pods do without it, and it may come by itself, as certificates do."""
    digest: str = ""
    """Of all that pods read; empty when they read nothing, and when there are problems."""
