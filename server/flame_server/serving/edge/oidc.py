"""Tokens of an OpenID Connect issuer: verifies signed JWTs with the keys that the issuer publishes."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx2
import jwt
import structlog

from flame_server.serving.edge.auth import Caller, IssuerAwayError

# Public keys only: with a symmetric algorithm, whoever can check a token could also make one.
_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
_CLOCK_SKEW_SECONDS = 30
_FETCH_SECONDS = 5.0
_MAX_DOCUMENT_BYTES = 1_048_576
# An issuer revokes a key by no longer publishing it. An unknown key in a token triggers a fetch earlier.
_FRESH_SECONDS = 600.0
# Tokens with made-up keys must not make this server fetch again and again.
_SECONDS_BETWEEN_FETCHES = 10.0
_log = structlog.get_logger(__name__)


class OidcVerifier:
    """Checks signature, issuer, audience and times of access tokens. For one event loop."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        required_scopes: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer: str | None = issuer
        self.required_scopes = required_scopes
        self._issuer = issuer
        self._audience = audience
        self._keys = IssuerKeys(issuer, clock)

    async def verify(self, token: str) -> Caller | None:
        """See `Verifier`."""
        try:
            key = await self._keys.find(jwt.get_unverified_header(token).get("kid"))
            if key is None or key.key_type not in _ALGORITHMS:
                return None
            claims = jwt.decode(
                token,
                key.key,
                # The key decides, not the token: see RFC 8725, section 3.1.
                algorithms=_ALGORITHMS[key.key_type],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            _log.info("token refused", reason=type(error).__name__)
            return None
        return Caller(_subject(claims), _scopes(claims))


class IssuerKeys:
    """The keys that an issuer publishes: fetched when needed, and kept while the issuer does not answer."""

    def __init__(self, issuer: str, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._fetched_at = -_FRESH_SECONDS
        self._tried_at = -_SECONDS_BETWEEN_FETCHES
        self._away = False

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key with that id, or the only key when `kid` is None; None when the issuer has no such key.

        Raises:
            IssuerAwayError: No keys have been fetched yet, and the issuer does not answer.
        """
        if self._must_fetch(kid):
            async with self._lock:
                if self._must_fetch(kid):
                    await self._refresh()
        if not self._keys and self._away:
            raise IssuerAwayError
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _must_fetch(self, kid: str | None) -> bool:
        now = self._clock()
        if now - self._tried_at < _SECONDS_BETWEEN_FETCHES:
            return False
        return now - self._fetched_at >= _FRESH_SECONDS or (kid is not None and kid not in self._keys)

    async def _refresh(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = await fetch_keys(self._issuer)
        except IssuerAwayError as error:
            self._away = True
            _log.warning("the issuer's keys cannot be fetched", issuer=self._issuer, problem=str(error))
            return
        self._away = False
        self._fetched_at = self._clock()


async def fetch_keys(issuer: str) -> Mapping[str | None, jwt.PyJWK]:
    """The issuer's signing keys by their id.

    Raises:
        IssuerAwayError: It does not answer, or its answer is not that of an issuer.
    """
    # Redirects are not followed: keys are only as trustworthy as the address that they come from.
    async with httpx2.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=False) as client:
        configuration = await _document(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if configuration.get("issuer") != issuer:
            named = configuration.get("issuer")
            raise IssuerAwayError(
                f"it calls itself {named!r}: set FLAME_MCP_AUTH_OIDC_ISSUER to exactly that"
            )
        address = configuration.get("jwks_uri")
        secure = isinstance(address, str) and address.startswith(("https://", issuer.partition("//")[0]))
        if not isinstance(address, str) or not secure:
            raise IssuerAwayError("its configuration names no jwks_uri that starts with https://")
        document = await _document(client, address)
    try:
        keys = jwt.PyJWKSet.from_dict(document).keys
    except (jwt.PyJWTError, TypeError, AttributeError) as error:
        raise IssuerAwayError(f"{address} holds no usable key ({error})") from error
    return {key.key_id: key for key in keys if key.public_key_use in (None, "sig")}


async def _document(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    try:
        async with client.stream("GET", url) as response:
            response.raise_for_status()
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise IssuerAwayError(f"{url} is larger than {_MAX_DOCUMENT_BYTES} bytes")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise IssuerAwayError(f"{url}: {error or type(error).__name__}") from error
    return _json_object(bytes(body), url)


def _json_object(body: bytes, url: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise IssuerAwayError(f"{url} holds no JSON") from error
    if not isinstance(document, dict):
        raise IssuerAwayError(f"{url} holds no JSON object")
    return document


def _subject(claims: Mapping[str, Any]) -> str:
    """The user, or the client program when there is no user; issuers use different claims for the program."""
    for name in ("sub", "client_id", "azp", "appid"):
        if isinstance(claims.get(name), str):
            return str(claims[name])
    return ""


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes: `scope`, a string (RFC 8693), or with some issuers `scp`, a string or a list."""
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            return frozenset(value.split())
        if isinstance(value, list):
            return frozenset(str(item) for item in value)
    return frozenset()
