"""An OpenID Connect issuer in this process, and tokens that it signed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from flame_server.serving.edge.gate import Gate
from flame_server.serving.edge.oidc import OidcVerifier
from flame_server.serving.edge.rates import RateLimiter
from flame_server.serving.metrics import Metrics
from tests.support.server.asgi import Clock, echo, fetch

ISSUER = "https://issuer.example.com/tenant"
# Making keys is slow.
_KEYS = {name: rsa.generate_private_key(public_exponent=65_537, key_size=2048) for name in ("one", "two")}


class SlowIssuer:
    """Answers when it is allowed to; counts what it is asked."""

    def __init__(self) -> None:
        self.published = ["one"]
        self.documents: dict[str, bytes] = {}
        """Other answers than the right ones, by the end of the path."""
        self.open = asyncio.Event()
        self.open.set()
        self.requests = 0
        self.away = False

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        await self.open.wait()
        if self.away:
            raise httpx2.ConnectError("connection refused")
        for end, content in self.documents.items():
            if request.url.path.endswith(end):
                return httpx2.Response(200, content=content)
        if request.url.path.endswith("openid-configuration"):
            return httpx2.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
        return httpx2.Response(200, json={"keys": [published_key(name) for name in self.published]})


def published_key(name: str) -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(_KEYS[name].public_key(), as_dict=True)
    return {**public, "kid": name, "use": "sig"}


def token(kid: str = "one", **claims: Any) -> str:  # noqa: ANN401 - claims may be anything
    """A token; one with an unknown `kid` is signed with another's key."""
    content = {"iss": ISSUER, "aud": "flame", "sub": "ann", "exp": int(time.time()) + 60, **claims}
    return jwt.encode(content, _KEYS.get(kid, _KEYS["one"]), "RS256", headers={"kid": kid})


class Guarded:
    """An application behind tokens of the issuer."""

    def __init__(self, clock: Clock | None = None, limiter: RateLimiter | None = None) -> None:
        self.verifier = OidcVerifier(ISSUER, "flame", (), clock or Clock())
        self._app = Gate(echo, self.verifier, limiter, Metrics())

    async def ask(self, given: str, peer: str = "10.0.0.1") -> httpx2.Response:
        return await fetch(self._app, headers={"Authorization": f"Bearer {given}"}, peer=peer)

    async def status(self, given: str, peer: str = "10.0.0.1") -> int:
        return (await self.ask(given, peer)).status_code


def installed(monkeypatch: pytest.MonkeyPatch) -> SlowIssuer:
    """An issuer that all clients of this process reach."""
    served = SlowIssuer()
    reach(monkeypatch, served.answer)
    return served


def reach(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]],
) -> None:
    """Makes all clients of this process reach this answer."""
    real = httpx2.AsyncClient
    transport = httpx2.MockTransport(answer)
    # Where `answers.bound` counts what the network delivers.
    transport._pool = SimpleNamespace(_network_backend=None)  # type: ignore[attr-defined]
    monkeypatch.setattr(httpx2, "AsyncClient", lambda **options: real(**{"transport": transport, **options}))
