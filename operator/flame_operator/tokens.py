"""Bearer tokens that the operator makes."""

import secrets
from base64 import b64encode

from flame_operator.desired.naming import TOKEN_KEY
from flame_operator.model import Manifest

TOKEN_BYTES = 32


class Token:
    """The bearer token of a server that has the operator make it: once, and then for good."""

    def __init__(self) -> None:
        self._new = ""

    def value(self, secret: Manifest | None) -> str:
        """As base64: the one in the Secret, or else a new one, the same whenever this pass asks."""
        found: str = ((secret or {}).get("data") or {}).get(TOKEN_KEY, "")
        if not found and not self._new:
            self._new = b64encode(secrets.token_urlsafe(TOKEN_BYTES).encode()).decode()
        return found or self._new
