"""Holds the result of resolving a server's references."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resolved:
    """The result of resolving a server's references."""

    problems: tuple[str, ...] = ()
    """Missing objects that pods can't run without, with what to do, in the order of the references."""
    awaited: tuple[str, ...] = ()
    """Missing objects that pods can run without; they may appear by themselves, as certificates do."""
    digest: str = ""
    """The digest of everything that pods read; empty when they read nothing or there are problems."""
