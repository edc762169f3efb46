"""What a pass over a server has found and done: the input of its status."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flame_operator.changes.plan import Action, AwaitDeletion, NameTaken
from flame_operator.desired.inputs import Defaults
from flame_operator.errors import Refused
from flame_operator.ingestion.record import IngestionState
from flame_operator.references.resolved import Resolved
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import Condition
from flame_operator.resource.server import Server
from flame_operator.status.unsupported import unsupported


@dataclass(frozen=True)
class Check:
    """What the last verification of the running server has found."""

    verified: Condition
    server: Manifest = field(default_factory=dict)
    """`status.server`: who answered; empty when nobody did."""
    index: Manifest = field(default_factory=dict)
    """`status.index`: what is searched."""


@dataclass(frozen=True)
class Outcome:
    """What one pass has found and done."""

    names_taken: tuple[str, ...] = ()
    """Objects that aren't ours but have a child's name, as `Kind name`."""
    being_deleted: tuple[str, ...] = ()
    """Old objects that are still being deleted, as `Kind name`."""
    refused: Refused | None = None
    """The API server's answer when it refused a child."""
    missing: tuple[str, ...] = ()
    """Secrets and ConfigMaps that pods can't do without and that aren't there, with what to do about it."""
    awaited: tuple[str, ...] = ()
    """Missing objects that pods do without, and that may come by themselves."""
    unsupported: tuple[str, ...] = ()
    """Fields that need something which this cluster or this installation lacks, with what to do about it."""
    waits_for_turn: bool = False
    """Whether pods wait until others that read the same Secret have been replaced."""
    why: str = ""
    """Why no pod is ready, as far as the pods tell."""
    ingestion: IngestionState | None = None
    """How far ingestion has come; None when nothing is loaded."""
    check: Check | None = None
    """None while the server hasn't been verified since the operator started."""

    @property
    def missing_for_ingestion(self) -> tuple[str, ...]:
        """What a run would wait for. The server's pods do without the sources; a run doesn't."""
        return (*self.missing, *(one for one in self.awaited if one.startswith("spec.ingestion")))


def outcome_of(
    server: Server, defaults: Defaults, resolved: Resolved, actions: Iterable[Action], *, waits_for_turn: bool
) -> Outcome:
    """The outcome of a pass so far: what a plan and resolved references tell."""
    actions = tuple(actions)
    return Outcome(
        names_taken=tuple(_name(one.child) for one in actions if isinstance(one, NameTaken)),
        being_deleted=tuple(_name(one.child) for one in actions if isinstance(one, AwaitDeletion)),
        missing=resolved.problems,
        awaited=resolved.awaited,
        unsupported=unsupported(server, defaults),
        waits_for_turn=waits_for_turn,
    )


def _name(child: Manifest) -> str:
    return f"{child['kind']} {child['metadata']['name']}"
