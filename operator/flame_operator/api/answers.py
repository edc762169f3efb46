"""Turns the API server's refusals into typed errors."""

from flame_operator.api.calls import Answer
from flame_operator.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NamespaceTerminating,
    NotFound,
    Refused,
    Undeclared,
)
from flame_operator.resource.kinds import Manifest


def checked(answer: Answer) -> Manifest:
    """The object in an answer; raises one of `errors` when the answer is an error."""
    if answer.status < 300:
        return answer.body
    message = str(answer.body.get("message") or f"HTTP status {answer.status}")
    causes: list[dict[str, str]] = (answer.body.get("details") or {}).get("causes") or []
    # When another object has the name, an apply fails with 422 on the immutable uid, and a delete with 409.
    if answer.status in (409, 410) or any(cause.get("field") == "metadata.uid" for cause in causes):
        raise Conflict(message)
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        raise NamespaceTerminating(message)
    if answer.status == 500:
        raise Undeclared(message)
    raise {403: Forbidden, 404: NotFound, 422: Invalid}.get(answer.status, Refused)(message)
