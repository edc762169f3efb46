"""Bearer tokens and keys that the operator makes."""

import secrets
from base64 import b64encode
from collections.abc import Mapping

from flame_operator.resource.kinds import Manifest

TOKEN_BYTES = 32


class Tokens:
    """What a server has the operator generate: each once, and then for good."""

    def __init__(self) -> None:
        self._new: dict[str, str] = {}

    def values(self, secret: Manifest | None, *keys: str) -> Mapping[str, str]:
        """As base64: those in the Secret, or else new ones, the same whenever this pass asks."""
        stored: dict[str, str] = (secret or {}).get("data") or {}
        return {key: stored.get(key) or self._made(key) for key in keys}

    def _made(self, key: str) -> str:
        if key not in self._new:
            self._new[key] = b64encode(secrets.token_urlsafe(TOKEN_BYTES).encode()).decode()
        return self._new[key]
