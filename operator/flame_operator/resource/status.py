"""Holds parts of a FlameMCPServer's status that several rooms write, and functions that read them back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flame_operator.resource.kinds import Manifest
from flame_operator.resource.reasons import ConditionStatus


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server reports about itself over MCP: its name, its versions and its tools."""

    name: str
    version: str
    protocol_version: str
    tools: tuple[str, ...] = ()
    """Names in alphabetical order; names that the protocol wouldn't allow are left out."""

    def as_status(self) -> dict[str, Any]:
        """The content of `status.server`."""
        return {
            "name": self.name,
            "version": self.version,
            "protocolVersion": self.protocol_version,
            "tools": list(self.tools),
        }


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What a server reports about its index; fields that it doesn't report are None or ""."""

    collection: str = ""
    documents: int | None = None
    chunks: int | None = None
    source_revision: str = ""
    embedding: str = ""

    def as_status(self) -> dict[str, Any]:
        """The content of `status.index`, without `lastSuccessfulTime`."""
        fields = {
            "collection": self.collection,
            "documents": self.documents,
            "chunks": self.chunks,
            "sourceRevision": self.source_revision,
            "embedding": self.embedding,
        }
        return {name: value for name, value in fields.items() if value not in ("", None)}


def condition(status: Manifest, kind: str) -> Manifest | None:
    """The condition of the type `kind`, or None when the status has no such condition."""
    conditions: Iterable[Manifest] = status.get("conditions") or []
    return next((found for found in conditions if found["type"] == kind), None)


def readiness(server: Manifest) -> ConditionStatus:
    """The status of the condition Ready of a stored server; Unknown for anything but True and False."""
    found = condition(server.get("status") or {}, "Ready")
    if found is None or found["status"] not in ("True", "False"):
        return "Unknown"
    status: ConditionStatus = found["status"]
    return status


def is_verified(status: Manifest) -> bool:
    """Whether the status says that the last verification succeeded."""
    found = condition(status, "Verified")
    return found is not None and found["status"] == "True"
