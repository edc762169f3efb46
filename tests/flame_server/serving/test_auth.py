"""Bearer tokens, and tokens of an OpenID Connect issuer."""

import time
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.types import ASGIApp

from flame_server.credentials import Credentials
from flame_server.serving.edge import oidc
from flame_server.serving.edge.auth import IssuerAwayError
from flame_server.serving.edge.gate import Gate
from flame_server.serving.edge.hosts import HostGuard
from flame_server.serving.edge.oidc import OidcVerifier
from flame_server.serving.edge.rates import RateLimiter
from flame_server.serving.metrics import Metrics
from tests.support.server.asgi import Clock, count, echo, edge, fetch
from tests.support.server.issuers import reach

ISSUER = "https://issuer.example.com/tenant"
TOKEN = "s3cret-token"  # noqa: S105


def bearer(metrics: Metrics | None = None, **settings: object) -> ASGIApp:
    asked = {"auth_type": "Bearer", "auth_token_file": "/t"}
    return edge(metrics, Credentials(auth_token=TOKEN), **asked, **settings)


async def test_the_right_token_passes() -> None:
    for scheme in ("Bearer", "bearer"):
        response = await fetch(bearer(), headers={"Authorization": f"{scheme} {TOKEN}"})
        assert response.status_code == 200


async def test_no_token_is_told_how_to_come_back_but_no_error() -> None:
    metrics = Metrics()
    response = await fetch(bearer(metrics))
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.json()["error_description"] == "send Authorization: Bearer TOKEN"
    assert count(metrics, "refused_requests_total", reason="no_token") == 1


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer \xff\xfe",
    ],
)
async def test_other_tokens_are_refused_and_not_repeated(authorization: str) -> None:
    metrics = Metrics()
    response = await fetch(bearer(metrics), headers=[(b"Authorization", authorization.encode("latin-1"))])
    assert response.status_code == 401
    assert 'error="invalid_' in response.headers["WWW-Authenticate"]
    assert TOKEN not in response.text + str(response.headers)
    assert count(metrics, "refused_requests_total", reason="bad_token") == 1


async def test_two_tokens_are_refused() -> None:
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    assert (await fetch(bearer(), headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "path", ["/index.html", "/mcp/", "/docs", "/.well-known/oauth-protected-resource/mcp"]
)
async def test_everything_but_probes_and_the_page_needs_a_token(path: str) -> None:
    assert (await fetch(bearer(), "GET", path)).status_code == 401
    assert (await fetch(bearer(), "GET", "/health/ready")).status_code == 200


async def test_trying_tokens_is_limited_too() -> None:
    app = bearer(rate_limit_per_minute=1, rate_limit_burst=2)
    headers = {"Authorization": "Bearer guess"}
    assert [(await fetch(app, headers=headers)).status_code for _ in range(3)] == [401, 401, 429]


class Issuer:
    """An issuer whose documents are answered from here."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"one": rsa.generate_private_key(public_exponent=65_537, key_size=2048)}
        self.configuration: Any = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        self.status = 200
        self.requests: list[str] = []

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request.url.path)
        if self.status != 200:
            return httpx2.Response(self.status)
        if request.url.path == "/tenant/.well-known/openid-configuration":
            return httpx2.Response(200, json=self.configuration)
        keys = []
        for kid, key in self.keys.items():
            kind = jwt.algorithms.RSAAlgorithm if hasattr(key, "decrypt") else jwt.algorithms.ECAlgorithm
            keys.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"})
        return httpx2.Response(200, json={"keys": keys})

    def token(
        self,
        kid: str | None = "one",
        *,
        algorithm: str = "RS256",
        key: rsa.RSAPrivateKey | str | None = None,
        **claims: object,
    ) -> str:
        now = int(time.time())
        content = {
            "iss": ISSUER,
            "aud": "flame",
            "sub": "ann",
            "exp": now + 60,
            "scope": "docs.read",
            **claims,
        }
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(
            content, key or self.keys[kid or "one"], algorithm, headers={"kid": kid} if kid else None
        )


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Issuer:
    served = Issuer()
    reach(monkeypatch, served.answer)
    return served


def guarded_by(
    verifier: OidcVerifier, metrics: Metrics | None = None, limiter: RateLimiter | None = None
) -> ASGIApp:
    counted = metrics or Metrics()
    return HostGuard(Gate(echo, verifier, limiter, counted), "127.0.0.1", ["docs.example.com"], counted)


def verifier(clock: Clock | None = None, scopes: tuple[str, ...] = ("docs.read",)) -> OidcVerifier:
    return OidcVerifier(ISSUER, "flame", scopes, clock or Clock())


async def ask(app: ASGIApp, token: str) -> int:
    return (await fetch(app, headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["other", "flame"]},
        {"scope": None, "scp": ["docs.read"]},
        {"scope": "a docs.read"},
        {"sub": None, "azp": "program"},
    ],
)
async def test_a_valid_token_passes(issuer: Issuer, claims: dict[str, Any]) -> None:
    assert await ask(guarded_by(verifier()), issuer.token(**claims)) == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"aud": None},
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"exp": int(time.time()) - 120},
        {"exp": None},
        {"nbf": int(time.time()) + 3_600},
    ],
)
async def test_claims_of_another_server_or_time_are_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    response = await fetch(
        guarded_by(verifier()), headers={"Authorization": f"Bearer {issuer.token(**claims)}"}
    )
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


async def test_signatures_of_others_are_refused(issuer: Issuer) -> None:
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    app = guarded_by(verifier())
    unsigned = jwt.encode({"iss": ISSUER}, "", "none", headers={"kid": "one"})
    # The classic confusion: the public key as the secret of a symmetric signature.
    confused = issuer.token(algorithm="HS256", key="x" * 64)
    assert [
        await ask(app, token) for token in (issuer.token(key=other), unsigned, confused, "a.b.c", "x")
    ] == [401] * 5


@pytest.mark.parametrize("algorithm", ["PS256", "RS512"])
async def test_the_key_decides_the_algorithm(issuer: Issuer, algorithm: str) -> None:
    assert await ask(guarded_by(verifier()), issuer.token(algorithm=algorithm)) == 200


async def test_elliptic_keys_and_tokens_without_a_key_id(issuer: Issuer) -> None:
    issuer.keys = {"one": ec.generate_private_key(ec.SECP256R1())}
    assert await ask(guarded_by(verifier()), issuer.token(None, algorithm="ES256")) == 200


async def test_a_missing_scope_is_403(issuer: Issuer) -> None:
    metrics = Metrics()
    response = await fetch(
        guarded_by(verifier(scopes=("docs.read", "docs.search")), metrics),
        headers={"Authorization": f"Bearer {issuer.token()}"},
    )
    assert response.status_code == 403
    challenge = response.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="docs.read docs.search"' in challenge
    assert count(metrics, "refused_requests_total", reason="scope") == 1


async def test_a_client_without_a_token_finds_the_issuer(issuer: Issuer) -> None:
    app = guarded_by(verifier())
    refused = await fetch(app, base="https://docs.example.com", headers={"X-Forwarded-Proto": "http"})
    address = 'resource_metadata="https://docs.example.com/.well-known/oauth-protected-resource/mcp"'
    assert address in refused.headers["WWW-Authenticate"]
    assert "error=" not in refused.headers["WWW-Authenticate"]
    path = "/.well-known/oauth-protected-resource/mcp"
    document = (await fetch(app, "GET", path)).json()
    assert document == {
        "resource": "http://localhost:8000/mcp",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "resource_name": "Flame docs",
        "scopes_supported": ["docs.read"],
    }
    assert not issuer.requests


async def test_keys_are_fetched_once_and_again_for_a_new_one(issuer: Issuer) -> None:
    clock = Clock()
    app = guarded_by(verifier(clock))
    assert [await ask(app, issuer.token()) for _ in range(3)] == [200] * 3
    assert len(issuer.requests) == 2
    issuer.keys["two"] = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    # Not at once: invented keys must not make the server ask and ask.
    assert await ask(app, issuer.token("two")) == 401
    assert len(issuer.requests) == 2
    clock.now += 11
    assert await ask(app, issuer.token("two")) == 200
    assert len(issuer.requests) == 4


async def test_a_key_that_is_taken_back_is_no_longer_accepted(issuer: Issuer) -> None:
    clock = Clock()
    app = guarded_by(verifier(clock))
    token = issuer.token()
    assert await ask(app, token) == 200
    issuer.keys = {"two": issuer.keys["one"]}
    clock.now += 601
    assert await ask(app, token) == 401


async def test_an_issuer_that_is_away_is_no_reason_to_throw_tokens_away(issuer: Issuer) -> None:
    clock, metrics = Clock(), Metrics()
    app = guarded_by(verifier(clock), metrics)
    issuer.status = 503
    response = await fetch(app, headers={"Authorization": f"Bearer {issuer.token()}"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert count(metrics, "refused_requests_total", reason="issuer_away") == 1
    issuer.status = 200
    clock.now += 11
    assert await ask(app, issuer.token()) == 200
    issuer.status = 503
    clock.now += 3_600
    assert await ask(app, issuer.token()) == 200


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"issuer": "https://other.example.com"}, "it calls itself 'https://other.example.com'"),
        ({"issuer": ISSUER, "jwks_uri": "http://issuer.example.com/keys"}, "no jwks_uri that starts with"),
        ({"issuer": ISSUER}, "no jwks_uri that starts with"),
        ([], "holds no JSON object"),
    ],
)
async def test_documents_of_no_issuer_say_what_is_wrong(
    issuer: Issuer, configuration: object, message: str
) -> None:
    issuer.configuration = configuration
    with pytest.raises(IssuerAwayError, match=message):
        await oidc.fetch_keys(ISSUER)


@pytest.mark.parametrize(
    ("jwks_uri", "taken"),
    [
        ("http://dex.auth.svc:5556/keys", True),
        ("https://keys.example.com/keys", True),
        ("http://dex.auth.svc/keys", False),
        ("http://dex.auth.svc:5556.example.com/keys", False),
        ("http://keys.example.com/keys", False),
    ],
)
async def test_keys_without_tls_come_from_the_issuer_itself(
    issuer: Issuer, jwks_uri: str, *, taken: bool
) -> None:
    address = "http://dex.auth.svc:5556/tenant"
    issuer.configuration = {"issuer": address, "jwks_uri": jwks_uri}
    if taken:
        assert await oidc.fetch_keys(address)
    else:
        with pytest.raises(IssuerAwayError, match="no jwks_uri that starts with"):
            await oidc.fetch_keys(address)


async def test_each_subject_has_its_own_limit(issuer: Issuer) -> None:
    app = guarded_by(verifier(), limiter=RateLimiter(1, 1, Clock()))
    assert [await ask(app, issuer.token(sub=name)) for name in ("ann", "ann", "bob")] == [200, 429, 200]
