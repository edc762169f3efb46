"""The error of embedding services, with a reason that metrics count."""

from typing import Literal

from flame_server.embedding.protocol.refusals import About
from flame_server.errors import FlameMcpError

Reason = Literal["timeout", "connection", "credentials", "rate", "refused", "service", "dimensions", "open"]
REASONS: tuple[Reason, ...] = (
    "timeout", "connection", "credentials", "rate", "refused", "service", "dimensions", "open",
)  # fmt: skip


class EmbeddingError(FlameMcpError):
    """A service returned no vectors.

    Attributes:
        reason: For metrics. The message is for people; it holds no secrets.
        status: The status of an HTTP answer; 0 without one.
        about: What a refusal is about, if that can be told.
    """

    def __init__(self, reason: Reason, message: str, status: int = 0, about: About = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.about = about
        self.kind = "user" if reason in ("credentials", "refused", "dimensions") else "world"
