"""The API server's audit log: what was really asked of it, by whom, and what it answered."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request; a watch counts when it begins.

    `verb` is RBAC's word, `user` the authenticated name, `received` and `answered` are seconds since the
    epoch, and `body` is what a write sent, when the log keeps bodies.
    """

    user: str
    agent: str
    verb: str
    path: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    received: float
    answered: float
    body: Any

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @property
    def created(self) -> bool:
        """Whether it made an object: an apply does so as well as a create."""
        return self.code == 201 and not self.subresource

    @property
    def target(self) -> str:
        """`resource[/subresource]`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class AuditLog:
    """Reads the log piece by piece: each call gives what has come since the last."""

    def __init__(self, path: Path, *, from_now: bool = False) -> None:
        self.path = path
        self._offset = path.stat().st_size if from_now else 0

    def new(self, user: str | None = None) -> list[Request]:
        """The requests since the last call, of one user or of all, in the order of their answers."""
        return [request for request in self._read() if user in (None, request.user)]

    def _read(self) -> Iterator[Request]:
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return  # still being written
                self._offset += len(line)
                request = _parsed(json.loads(line))
                if request is not None:
                    yield request


def _parsed(event: dict[str, Any]) -> Request | None:
    wanted = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"
    if event["stage"] != wanted:
        return None
    target = event.get("objectRef", {})
    return Request(
        user=event["user"].get("username", ""),
        agent=event.get("userAgent", ""),
        verb=event["verb"],
        path=event["requestURI"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        received=_seconds(event["requestReceivedTimestamp"]),
        answered=_seconds(event["stageTimestamp"]),
        body=event.get("requestObject"),
    )


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
