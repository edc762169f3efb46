"""Why a service gave no vectors."""

from typing import Literal

from flame_server.errors import FlameMcpError

Reason = Literal["timeout", "connection", "credentials", "rate", "refused", "service", "dimensions", "open"]
REASONS: tuple[Reason, ...] = (
    "timeout", "connection", "credentials", "rate", "refused", "service", "dimensions", "open",
)  # fmt: skip


class EmbeddingError(FlameMcpError):
    """No vectors: `reason` for the metrics, the text for people. It never holds a text or a credential."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.kind = "user" if reason in ("credentials", "refused", "dimensions") else "world"
