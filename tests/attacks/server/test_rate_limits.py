"""Strangers who use up rate limits behind the address of honest clients (attack 14, M7)."""

from __future__ import annotations

import pytest

from flame_server.credentials import Credentials
from flame_server.serving.edge.rates import RateLimiter
from tests.support.server.asgi import Clock, edge, fetch
from tests.support.server.issuers import Guarded, SlowIssuer, installed, token

INGRESS = "10.0.0.9"


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> SlowIssuer:
    return installed(monkeypatch)


@pytest.mark.parametrize("stranger", [{}, {"Authorization": "Bearer guess"}, {"Authorization": "Basic x"}])
async def test_strangers_take_nothing_from_a_shared_token(stranger: dict[str, str]) -> None:
    """Attack 14: an attacker at 6 requests a second made 20 of 20 requests with a valid token fail (429)."""
    app = edge(
        None,
        Credentials(auth_token="s3cret"),  # noqa: S106
        auth_type="Bearer",
        auth_token_file="/t",  # noqa: S106
        rate_limit_per_minute=60,
        rate_limit_burst=20,
    )
    valid = {"Authorization": "Bearer s3cret"}
    strangers = [(await fetch(app, headers=stranger, peer=INGRESS)).status_code for _ in range(200)]
    assert strangers[:20] == [401] * 20
    assert strangers.count(429) >= 170
    honest = [(await fetch(app, headers=valid, peer=INGRESS)).status_code for _ in range(20)]
    assert honest == [200] * 20
    # It has a limit of its own.
    assert (await fetch(app, headers=valid, peer=INGRESS)).status_code == 429


async def test_strangers_take_nothing_from_a_subject(issuer: SlowIssuer) -> None:
    """Attack 14 with an issuer: junk, unknown keys and wrong signatures, before a token that is new here."""
    app = Guarded(limiter=RateLimiter(60, 5, Clock()))
    forged = token()[:-8] + "AAAAAAAA"
    for junk in ("a.b.c", token("made up"), forged, token(aud="other")):
        statuses = [await app.status(junk, INGRESS) for _ in range(50)]
        assert set(statuses) <= {401, 429}
    assert await app.status(token(sub="ann"), INGRESS) == 200
    assert await app.status(token(sub="bob"), INGRESS) == 200
    assert issuer.requests == 2
    assert [await app.status(token(sub="ann"), INGRESS) for _ in range(5)] == [200] * 4 + [429]
    # Nor can a subject use up what another has.
    assert await app.status(token(sub="bob"), INGRESS) == 200


async def test_an_issuer_that_is_away_is_told_before_the_limit(issuer: SlowIssuer) -> None:
    """Attack 14, another way: nobody knows whose token is valid then, so all are told the same."""
    issuer.away = True
    app = Guarded(limiter=RateLimiter(60, 2, Clock()))
    assert [await app.status(token(), INGRESS) for _ in range(10)] == [503] * 10
