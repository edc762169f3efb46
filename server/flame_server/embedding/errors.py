"""The error of embedding services, with a reason that metrics count."""

from typing import Literal

from flame_server.errors import FlameMcpError

Reason = Literal["timeout", "connection", "credentials", "rate", "refused", "service", "dimensions", "open"]
REASONS: tuple[Reason, ...] = (
    "timeout", "connection", "credentials", "rate", "refused", "service", "dimensions", "open",
)  # fmt: skip


class EmbeddingError(FlameMcpError):
    """A service returned no vectors. `reason` is for metrics, the message for people; it holds no secrets."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.kind = "user" if reason in ("credentials", "refused", "dimensions") else "world"
