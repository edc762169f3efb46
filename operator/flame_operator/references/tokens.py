"""Generates bearer tokens and API keys."""

import secrets
from base64 import b64encode
from collections.abc import Mapping

from flame_operator.resource.kinds import Manifest

TOKEN_BYTES = 32


class Tokens:
    """Generates the tokens and keys that a pass needs: each only once, then its Secret keeps it for good."""

    def __init__(self) -> None:
        self._new: dict[str, str] = {}

    def values(self, secret: Manifest | None, *keys: str) -> Mapping[str, str]:
        """The values of a Secret as base64; values that it lacks are generated, once for the whole pass.

        Args:
            secret: The live Secret, or None when there is none.
            keys: The keys in its data.
        """
        stored: dict[str, str] = (secret or {}).get("data") or {}
        return {key: stored.get(key) or self._made(key) for key in keys}

    def _made(self, key: str) -> str:
        if key not in self._new:
            self._new[key] = b64encode(secrets.token_urlsafe(TOKEN_BYTES).encode()).decode()
        return self._new[key]
