"""Bearer tokens: the interface of verifiers, and the verifier of one shared token."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Caller:
    """The owner of a valid token; `subject` is None when all callers share one token."""

    subject: str | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)


class IssuerAwayError(Exception):
    """Tokens cannot be checked now, because the issuer does not answer."""


class Verifier(Protocol):
    """Checks bearer tokens."""

    @property
    def issuer(self) -> str | None:
        """The issuer that clients get tokens from; None when there is none to advertise."""
        ...

    @property
    def required_scopes(self) -> Sequence[str]:
        """The scopes that a token must have."""
        ...

    async def verify(self, token: str) -> Caller | None:
        """The caller that a token belongs to; None when the token is not valid.

        Raises:
            IssuerAwayError: The token cannot be checked now.
        """
        ...

    async def warm(self) -> bool:
        """Fetches what checks need, if it is missing; whether the server may be called ready."""
        ...


class BearerVerifier:
    """Accepts one token that all clients share."""

    issuer: str | None = None
    required_scopes: Sequence[str] = ()

    def __init__(self, token: str) -> None:
        self._digest = _digest(token)

    async def verify(self, token: str) -> Caller | None:
        """See `Verifier`. Compares digests, so that timing reveals nothing about the token."""
        return Caller() if hmac.compare_digest(_digest(token), self._digest) else None

    async def warm(self) -> bool:
        """See `Verifier`: a digest needs nothing."""
        return True


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
