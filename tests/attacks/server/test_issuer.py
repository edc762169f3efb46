"""Tokens while keys are fetched, and an issuer that answers anything (attacks 15, 46, 48, 49: M8, L9)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from flame_server.serving.edge import oidc
from flame_server.serving.edge.auth import IssuerAwayError
from flame_server.serving.readiness import Readiness
from tests.support.server.asgi import Clock
from tests.support.server.issuers import ISSUER, Guarded, SlowIssuer, installed, published_key, token
from tests.support.slowness import quickest, slowness


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> SlowIssuer:
    return installed(monkeypatch)


async def all_at_once(app: Guarded, issuer: SlowIssuer, tokens: list[str]) -> list[int]:
    """The statuses of these tokens, which all arrive before the issuer answers."""
    issuer.open.clear()
    asked = [asyncio.create_task(app.status(given)) for given in tokens]
    await asyncio.sleep(0.05)
    issuer.open.set()
    return await asyncio.gather(*asked)


async def test_ten_valid_tokens_at_a_cold_start(issuer: SlowIssuer) -> None:
    """Attack 15: 1 was accepted, 9 got 401 invalid_token."""
    assert await all_at_once(Guarded(), issuer, [token()] * 10) == [200] * 10
    assert issuer.requests == 2


async def test_ten_valid_tokens_of_a_new_key(issuer: SlowIssuer) -> None:
    """Attack 15 at a rotation of keys: whoever misses the key waits for it."""
    clock = Clock()
    app = Guarded(clock)
    assert await app.status(token()) == 200
    issuer.published.append("two")
    clock.now += 11
    assert await all_at_once(app, issuer, [token("two")] * 10) == [200] * 10
    assert issuer.requests == 4


async def test_a_client_that_leaves_takes_nobodys_keys_along(issuer: SlowIssuer) -> None:
    """Attack 15, another way: the one whose request started the fetch goes away."""
    app = Guarded()
    issuer.open.clear()
    first = asyncio.create_task(app.status(token()))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(app.status(token())) for _ in range(5)]
    await asyncio.sleep(0.05)
    first.cancel()
    issuer.open.set()
    assert await asyncio.gather(*others) == [200] * 5


async def test_an_issuer_that_is_away_at_a_cold_start_costs_nobody_a_token(issuer: SlowIssuer) -> None:
    """Attack 15: 503 with Retry-After, at once and between the attempts as well, never 401."""
    clock = Clock()
    app = Guarded(clock)
    issuer.away = True
    assert await all_at_once(app, issuer, [token()] * 10) == [503] * 10
    refused = await app.ask(token())
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert issuer.requests == 1
    issuer.away = False
    clock.now += 11
    assert await app.status(token()) == 200


async def test_200_made_up_keys_cost_no_fetch(issuer: SlowIssuer) -> None:
    """Attack 46: one fetch in 10 s, whoever asks."""
    clock = Clock()
    app = Guarded(clock)
    assert await app.status(token()) == 200
    assert [await app.status(token(f"made up {number}")) for number in range(200)] == [401] * 200
    assert issuer.requests == 2
    clock.now += 11
    made_up = [token(f"made up {number}") for number in range(50)]
    assert await all_at_once(app, issuer, made_up) == [401] * 50
    assert issuer.requests == 4


async def test_an_issuer_that_hangs_holds_few_requests_and_no_known_key(
    issuer: SlowIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack 48: 200 made-up keys wait for an issuer that says nothing; most are told so, none for long."""
    monkeypatch.setattr(oidc, "_FETCH_SECONDS", 0.5)
    clock = Clock()
    app = Guarded(clock)
    assert await app.status(token()) == 200
    clock.now += 11
    issuer.open.clear()
    waiting = [asyncio.create_task(app.status(token("made up"))) for _ in range(200)]
    await asyncio.sleep(0.1)
    assert await app.status(token()) == 200
    assert sum(task.done() for task in waiting) == 200 - 64
    began = time.monotonic()
    assert set(await asyncio.gather(*waiting)) == {503, 401}
    assert time.monotonic() - began < 2


JUNK = {
    "900 kB of [": b"[" * 900_000,
    "200 kB of [": b"[" * 200_000,
    "objects within objects": b'{"a":' * 40_000,
    "a million empty lists": b'{"keys": [' + b"[]," * 80_000 + b"[]]}",
    "no UTF-8": b"\xff\xfe\x00",
    "a number without end": b"1" * 200_000,
    "nothing": b"",
    "keys that are none": json.dumps({"keys": [None, 1, "x", [], {}, {"kty": []}, {"kty": "RSA"}]}).encode(),
    "a key id that is a list": json.dumps({"keys": [{**published_key("one"), "kid": []}]}).encode(),
    "a modulus that is none": json.dumps({"keys": [{**published_key("one"), "n": "AA"}]}).encode(),
    "an algorithm that is a list": json.dumps({"keys": [{**published_key("one"), "alg": [1]}]}).encode(),
}


@pytest.mark.parametrize("document", ["openid-configuration", "keys"])
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
async def test_junk_of_an_issuer_is_no_answer(issuer: SlowIssuer, document: str, junk: bytes) -> None:
    """Attack 49: 900 kB of [ were answered with 500. Nor may it hold the event loop for more than 50 ms."""
    issuer.documents[document] = junk
    assert await Guarded().status(token()) == 503
    with pytest.raises(IssuerAwayError) as told:
        await oidc.fetch_keys(ISSUER)
    assert len(str(told.value)) < 1_000

    def read() -> None:
        with pytest.raises(IssuerAwayError):
            oidc._json_object(b"[" * 5_000, "x")

    assert quickest(read) < 0.05 * slowness()


async def test_one_bad_key_spoils_no_good_one(issuer: SlowIssuer) -> None:
    """Attack 49, another way: junk beside the key that signs."""
    bad = [{**published_key("two"), "kid": []}, {**published_key("two"), "n": "AA"}, None]
    issuer.documents["keys"] = json.dumps({"keys": [*bad, published_key("one")]}).encode()
    assert await Guarded().status(token()) == 200


@pytest.mark.parametrize(
    "claims", [{"exp": float("inf")}, {"sub": {"a": []}}, {"scope": [[[]]]}, {"aud": [[]]}]
)
async def test_junk_in_signed_tokens_is_no_failure(issuer: SlowIssuer, claims: dict[str, Any]) -> None:
    """Attack 49, another way: claims that no library foresees."""
    assert await Guarded().status(token(**claims)) in (200, 401)
    assert issuer.requests == 2


class Index:
    """An index that is always there."""

    def __init__(self) -> None:
        self.index = {"chunks": 4}

    async def check(self) -> None:
        pass


async def test_a_server_is_ready_once_it_has_keys(issuer: SlowIssuer) -> None:
    """Attack 15: a rolling update must not send clients to a pod that can check no token."""
    clock = Clock()
    app = Guarded(clock)
    readiness = Readiness(Index(), app.verifier)  # type: ignore[arg-type] # as much of one as it needs
    issuer.away = True
    assert await readiness.problem() == "issuer unreachable"
    assert ISSUER in readiness.details()["problem"]
    issuer.away = False
    clock.now += 11
    assert await readiness.problem() == ""
    assert readiness.details() == {"chunks": 4}
    assert await app.status(token()) == 200
    assert issuer.requests == 3


async def test_an_issuer_that_stays_away_restarts_no_server(issuer: SlowIssuer) -> None:
    """The startup probe gives a pod a minute: after 20 s it is ready, and tells clients to come back."""
    clock = Clock()
    app = Guarded(clock)
    readiness = Readiness(Index(), app.verifier)  # type: ignore[arg-type] # as much of one as it needs
    issuer.away = True
    assert await readiness.problem() == "issuer unreachable"
    clock.now += 21
    assert await readiness.problem() == ""
    assert await app.status(token()) == 503


def test_a_private_key_is_no_key() -> None:
    """Attack 49, another way: PyJWT looks for the primes of such a key, for hours, on the event loop."""
    for odd in (
        {"n": "A" * 900, "e": "AQAB", "d": "B" * 900},
        {"n": "A" * 20_000, "e": "AQAB"},
        {"n": "A" * 900, "e": "B" * 20_000},
    ):
        entry = {"kty": "RSA", "kid": "a", **odd}
        assert oidc._signing_key(entry) is None
        assert quickest(lambda entry=entry: oidc._signing_key(entry)) < 0.1 * slowness()  # type: ignore[misc]
