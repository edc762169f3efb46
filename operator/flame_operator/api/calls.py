"""Describes requests to the Kubernetes API and their answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from flame_operator.api.reading import parsed
from flame_operator.resource.kinds import Manifest

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
MOST_BYTES = 4 * 1024 * 1024
"""How many bytes of an answer are read, unless the request says otherwise.

etcd stores at most 1.5 MB of an object; as JSON it may be larger, since control characters are escaped.
"""

CHILD_BYTES = 512 * 1024
"""How many bytes of a child are read; a common one has 2 to 15 kB. Parsing more would hold up all others."""


@dataclass(frozen=True)
class Call:
    """One request to the API; `timeout` is in seconds, `most` is how many bytes of the answer are read."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Manifest | list[Manifest] | None = None
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout: float = 30.0
    most: int = MOST_BYTES
    parse: Callable[[bytes], Manifest] = parsed

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        """Whether the request may change something."""
        return self.method in VERBS


class Answer(NamedTuple):
    """The API server's response; `retry_after` is in seconds, `size` is that of the body in bytes."""

    status: int
    body: Manifest
    retry_after: float | None
    size: int = 0

    @property
    def is_final(self) -> bool:
        """Whether the same request would get the same answer again."""
        if self.status == 500:
            # Of a field that the CRD lacks.
            return "field not declared in schema" in str(self.body.get("message"))
        return self.status != 429 and self.status < 500


def verb_and_resource(call: Call) -> tuple[str, str]:
    """The verb and the resource of a request, as RBAC rules name them; never a name that a user chose."""
    parts = call.path.strip("/").split("/")
    # api/VERSION/... or apis/GROUP/VERSION/..., with or without namespaces/NAMESPACE before the resource.
    parts = parts[2 if parts[0] == "api" else 3 :]
    if parts[0:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    if not parts:
        return "get", "discovery"
    verb = VERBS.get(call.method) or ("get" if len(parts) > 1 else "list")
    return verb, "/".join((parts[0], *parts[2:3]))
