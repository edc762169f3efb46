"""Tokens of an OpenID Connect issuer: verifies signed JWTs with the keys that the issuer publishes."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx2
import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm

from flame_server.answers import AnswerError, Bounds, bound
from flame_server.serving.edge.auth import Caller, IssuerAwayError

# Public keys only: with a symmetric algorithm, whoever can check a token could also make one.
_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
_CLOCK_SKEW_SECONDS = 30
# For both documents together.
_FETCH_SECONDS = 5.0
# Real key sets have some kilobytes; what is parsed here keeps the event loop busy.
_MAX_DOCUMENT_BYTES = 262_144
_MAX_VALUES = 5_000
_MAX_KEYS = 100
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_NUMBER = 1400
"""Characters: 8,192 bits in base64."""
# An issuer revokes a key by no longer publishing it. An unknown key in a token triggers a fetch earlier.
_FRESH_SECONDS = 600.0
# Tokens with made-up keys must not make this server fetch again and again.
_SECONDS_BETWEEN_FETCHES = 10.0
# Requests that wait for keys: they hold memory, and anybody can make some.
_MAX_WAITING = 64
# How long a new server is not ready for want of keys. After that its answer to tokens is 503.
WARM_UP_SECONDS = 20.0
# A probe waits 3 s.
_PROBE_SECONDS = 2.0
# What libraries raise for tokens and keys that they did not foresee, besides errors of their own.
_JUNK = (
    jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, LookupError, ArithmeticError, AttributeError,
    RecursionError,
)  # fmt: skip
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
            kid = jwt.get_unverified_header(token).get("kid")
        except _JUNK as error:
            _log.info("token refused", reason=type(error).__name__)
            return None
        key = await self._keys.find(kid)
        if key is None or key.key_type not in _ALGORITHMS:
            return None
        try:
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
        except _JUNK as error:
            _log.info("token refused", reason=type(error).__name__)
            return None
        return Caller(_subject(claims), _scopes(claims))

    async def warm(self) -> bool:
        """See `Verifier`. True after 20 s in any case: a restart would not bring the issuer back."""
        return await self._keys.warm()


class IssuerKeys:
    """The keys that an issuer publishes: fetched when needed, and kept while the issuer does not answer.

    One fetch at a time, at most one in 10 s. Whoever misses a key while a fetch is under way waits for it.
    """

    def __init__(self, issuer: str, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._fetched_at = -_FRESH_SECONDS
        self._tried_at = -_SECONDS_BETWEEN_FETCHES
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0
        self._asked_at: float | None = None

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key with that id, or the only key when `kid` is None; None when the issuer has no such key.

        Raises:
            IssuerAwayError: No keys have been fetched yet and the issuer does not answer, or too many others
                wait for its answer.
        """
        missing = not self._keys or (kid is not None and kid not in self._keys)
        stale = self._clock() - self._fetched_at >= _FRESH_SECONDS
        if missing or (stale and self._fetching is None):
            await self._refresh()
        if not self._keys:
            raise IssuerAwayError
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    async def warm(self) -> bool:
        """Whether there are keys; True as well when there were none for 20 s after the first question."""
        now = self._clock()
        self._asked_at = now if self._asked_at is None else self._asked_at
        if not self._keys:
            with suppress(TimeoutError, IssuerAwayError):
                async with asyncio.timeout(_PROBE_SECONDS):
                    await self._refresh()
        return bool(self._keys) or now - self._asked_at >= WARM_UP_SECONDS

    async def _refresh(self) -> None:
        """Waits for the fetch that is under way; starts one if there is none and the last was long ago."""
        if self._fetching is None:
            now = self._clock()
            if now - self._tried_at < _SECONDS_BETWEEN_FETCHES:
                return
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch())
        if self._waiting >= _MAX_WAITING:
            raise IssuerAwayError
        self._waiting += 1
        try:
            # The fetch goes on when this client leaves: others wait for it.
            await asyncio.shield(self._fetching)
        finally:
            self._waiting -= 1

    async def _fetch(self) -> None:
        try:
            self._keys = await fetch_keys(self._issuer)
            self._fetched_at = self._clock()
        except IssuerAwayError as error:
            _log.warning("the issuer's keys cannot be fetched", issuer=self._issuer, problem=str(error))
        finally:
            self._fetching = None


async def fetch_keys(issuer: str) -> Mapping[str | None, jwt.PyJWK]:
    """The issuer's signing keys by their id.

    Raises:
        IssuerAwayError: It does not answer within 5 s, or its answer is not that of an issuer.
    """
    try:
        async with asyncio.timeout(_FETCH_SECONDS):
            return await _published(issuer)
    except TimeoutError as error:
        raise IssuerAwayError(f"no complete answer within {_FETCH_SECONDS:g} s") from error


async def _published(issuer: str) -> Mapping[str | None, jwt.PyJWK]:
    # Reading the bundle of CAs takes 25 to 50 ms, and OpenSSL does it without Python's lock.
    trusted = await asyncio.to_thread(httpx2.create_ssl_context)
    # Redirects are not followed: keys are only as trustworthy as the address that they come from.
    async with httpx2.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=False, verify=trusted) as client:
        bound(client, Bounds(bytes=_MAX_DOCUMENT_BYTES, nodes=None, values=_MAX_VALUES))
        configuration = await _document(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if configuration.get("issuer") != issuer:
            named = repr(configuration.get("issuer"))[:200]
            raise IssuerAwayError(f"it calls itself {named}: set FLAME_MCP_AUTH_OIDC_ISSUER to exactly that")
        address = configuration.get("jwks_uri")
        # Where the issuer may be asked without TLS, its own keys may be, too, but nobody else's.
        if not isinstance(address, str) or not address.startswith(("https://", _origin(issuer))):
            raise IssuerAwayError("its configuration names no jwks_uri that starts with https://")
        document = await _document(client, address)
    listed = document.get("keys")
    found = map(_signing_key, listed[:_MAX_KEYS] if isinstance(listed, list) else ())
    keys = {key.key_id: key for key in found if key is not None}
    if not keys:
        raise IssuerAwayError(f"{address[:200]} holds no usable key")
    return keys


def _origin(url: str) -> str:
    """The scheme, host and port of a URL, with the slash that ends them."""
    return f"{'/'.join(url.split('/', 3)[:3])}/"


def _signing_key(entry: object) -> jwt.PyJWK | None:
    """A public key for signatures; None for everything else that may be in a key set."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kid", ""), str):
        return None
    # Some forms of a private key take hours to read. Numbers of public ones are bounded.
    if not _PRIVATE.isdisjoint(entry) or any(len(str(entry.get(name, ""))) > _MAX_NUMBER for name in "nexy"):
        return None
    try:
        usable = entry.get("kty") in _ALGORITHMS and entry.get("use", "sig") == "sig"
        return jwt.PyJWK(entry) if usable else None
    except _JUNK:
        return None


async def _document(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    shown = url[:200]
    try:
        async with client.stream("GET", url) as response:
            response.raise_for_status()
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise IssuerAwayError(f"{shown} is larger than {_MAX_DOCUMENT_BYTES} bytes")
    except (
        httpx2.HTTPError,
        httpx2.InvalidURL,
        httpx2.StreamError,
        AnswerError,
        OSError,
        ValueError,
    ) as error:
        raise IssuerAwayError(f"{shown}: {str(error)[:200] or type(error).__name__}") from error
    return _json_object(bytes(body), shown)


def _json_object(body: bytes, url: str) -> dict[str, Any]:
    # Counted before parsing: a value may cost a hundred times its bytes.
    if sum(body.count(mark) for mark in b",[{") > _MAX_VALUES:
        raise IssuerAwayError(f"{url} has more than {_MAX_VALUES} values")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
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
