"""Holds what a pass over a server has found and done: the input of its status."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flame_operator.changes.gates import foreign_secrets
from flame_operator.changes.plan import Action, AwaitDeletion, NameTaken
from flame_operator.desired.inputs import Defaults
from flame_operator.errors import Refused
from flame_operator.ingestion.record import IngestionState
from flame_operator.references.resolved import Resolved
from flame_operator.resource.kinds import QDRANT, Manifest
from flame_operator.resource.reasons import Condition
from flame_operator.resource.server import Server
from flame_operator.status.unsupported import unsupported
from flame_operator.workloads.causes import Cause
from flame_operator.workloads.deployments import PodCounts


@dataclass(frozen=True)
class Check:
    """The result of the last verification of the running server."""

    verified: Condition
    server: Manifest = field(default_factory=dict)
    """The content of `status.server`; empty when the server didn't report it."""
    index: Manifest = field(default_factory=dict)
    """The content of `status.index`; empty when the server didn't report it."""


@dataclass(frozen=True)
class Outcome:
    """What one pass over a server has found and done."""

    names_taken: tuple[str, ...] = ()
    """Foreign objects that have the name of a child, as `Kind name`."""
    being_deleted: tuple[str, ...] = ()
    """Old objects that are still being deleted, as `Kind name`."""
    foreign_secrets: tuple[str, ...] = ()
    """The names of Secrets among them: pods would read what somebody else has written."""
    refused: Refused | None = None
    """The API server's answer when it refused a child."""
    missing: tuple[str, ...] = ()
    """Missing Secrets and ConfigMaps that pods can't run without, with what to do."""
    token_gone: bool = False
    """Whether the token of callers is among them and pods accepted it: they are being stopped."""
    awaited: tuple[str, ...] = ()
    """Missing Secrets and ConfigMaps that pods can run without, and that may appear by themselves."""
    sources: str = ""
    """The digest of the ConfigMaps with docs; empty when there are none, or not all are there."""
    unsupported: tuple[str, ...] = ()
    """Fields that need something that this cluster or this installation lacks, with what to do."""
    waits_for_turn: bool = False
    """Whether pods wait until those of other servers that read the same Secret have been replaced."""
    conflict: str = ""
    """What to say of another installation of the operator that has found this server, and stands back."""
    why: Cause | None = None
    """Why not all pods of the server run the current spec and are ready, as far as that is known."""
    store: PodCounts | None = None
    """The pods of the server's own Qdrant; None when it has none."""
    why_store: Cause | None = None
    """Why not all of those are ready, as far as that is known."""
    ingestion: IngestionState | None = None
    """The state of ingestion; None when the operator loads nothing."""
    external_urls: tuple[str, ...] = ()
    """Where MCP clients outside the cluster connect."""
    check: Check | None = None
    """The last verification; None when there was none since the operator started."""

    @property
    def missing_for_ingestion(self) -> tuple[str, ...]:
        """The missing objects that a run has to wait for: unlike the server's pods, it needs the sources."""
        return (
            *self.missing,
            *(one for one in self.awaited if one.startswith("spec.ingestion")),
            *(
                f"Secret {name} doesn't belong to this resource."
                for name in self.foreign_secrets
                if name.endswith(QDRANT)
            ),
        )


def outcome_of(
    server: Server, defaults: Defaults, resolved: Resolved, actions: Iterable[Action], *, waits_for_turn: bool
) -> Outcome:
    """The outcome of a pass after planning, from the plan and the resolved references.

    Args:
        server: The server.
        defaults: The installation's defaults.
        resolved: The server's resolved references.
        actions: The plan.
        waits_for_turn: Whether pods wait for their turn to be replaced.
    """
    actions = tuple(actions)
    return Outcome(
        names_taken=tuple(_name(one.child) for one in actions if isinstance(one, NameTaken)),
        being_deleted=tuple(_name(one.child) for one in actions if isinstance(one, AwaitDeletion)),
        foreign_secrets=tuple(foreign_secrets(actions)),
        missing=resolved.problems,
        awaited=resolved.awaited,
        sources=resolved.sources,
        unsupported=unsupported(server, defaults),
        waits_for_turn=waits_for_turn,
    )


def _name(child: Manifest) -> str:
    return f"{child['kind']} {child['metadata']['name']}"
