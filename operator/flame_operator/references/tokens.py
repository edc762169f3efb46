"""Generates bearer tokens and API keys."""

import secrets
from base64 import b64encode
from collections.abc import Mapping

from flame_operator.formats.shape import mapping, text
from flame_operator.resource.kinds import Manifest

TOKEN_BYTES = 32
GENERATED_LENGTH = 60
"""How many characters of base64 a generated value has: it is a text of 43 characters for 32 bytes."""


def is_generated(value: str) -> bool:
    """Whether a value, as base64, is as long as a generated one: too long to be guessed from a digest."""
    return len(value) >= GENERATED_LENGTH


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
        stored = mapping((secret or {}).get("data"))
        return {key: text(stored.get(key)) or self._made(key) for key in keys}

    def _made(self, key: str) -> str:
        if key not in self._new:
            self._new[key] = b64encode(secrets.token_urlsafe(TOKEN_BYTES).encode()).decode()
        return self._new[key]
