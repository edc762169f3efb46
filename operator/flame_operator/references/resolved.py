"""Holds the result of resolving a server's references."""

from dataclasses import dataclass

from flame_operator.desired.references import Reference


@dataclass(frozen=True)
class Resolved:
    """The result of resolving a server's references."""

    problems: tuple[str, ...] = ()
    """Missing objects that pods can't run without, with what to do, in the order of the references."""
    awaited: tuple[str, ...] = ()
    """Missing objects that pods can run without; they may appear by themselves, as certificates do."""
    gone: tuple[Reference, ...] = ()
    """The references behind `problems` whose object or value surely isn't there.

    An object that the operator may not read isn't among them: pods may well be able to use it.
    """
    digest: str = ""
    """The digest of everything that pods read; empty when they read nothing or there are problems."""
    sources: str = ""
    """The digest of everything that runs load as docs; empty when that is nothing, or not all is there."""
