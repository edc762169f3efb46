"""Attacks 17, 18, 37 and 69: what embedding services and Qdrant answer is data, and bounded."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from flame_server.embedding import entra
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.identity import NO_EMBEDDING
from flame_server.embedding.service import EmbeddingService, ServiceModel
from flame_server.errors import UnavailableError
from flame_server.qdrant.connection import QdrantTarget
from flame_server.search.qdrant import QdrantSearcher
from tests.support.server import evil_http
from tests.support.server.evil_http import answer, answering
from tests.support.server.memory import peak_of

MOST_SENT = 24 * 1024**2
GROWTH = 30
EMBED = """
import asyncio, sys, time
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.service import EmbeddingService, ServiceModel
async def run():
    service = EmbeddingService(ServiceModel("OpenAI", sys.argv[1], "m"), retries=0, seconds=20)
    # What is loaded before the answer comes.
    other = EmbeddingService(ServiceModel("OpenAI", "http://127.0.0.1:1", "m"), retries=0, seconds=1)
    for one in (other, service):
        print(peak())
        try:
            await one.embed(["x"])
        except EmbeddingError as error:
            print(error)
asyncio.run(run())
"""
LOOK = """
import asyncio, sys
from flame_server.embedding.identity import NO_EMBEDDING
from flame_server.errors import UnavailableError
from flame_server.qdrant.connection import QdrantTarget
from flame_server.search.qdrant import QdrantSearcher
async def run():
    for url in ("http://127.0.0.1:1", sys.argv[1]):
        searcher = QdrantSearcher(QdrantTarget(url, "docs"), NO_EMBEDDING, None, len, lambda _: None)
        print(peak())
        try:
            await searcher.check()
        except UnavailableError as error:
            print(error)
        await searcher.close()
asyncio.run(run())
"""


def growth(code: str, url: str) -> tuple[int, str]:
    peak, said = peak_of(code, url)
    _, _, before, text = said.split("\n")
    return peak - int(before), text


@pytest.mark.parametrize("code", [EMBED, LOOK], ids=["embedding", "Qdrant"])
def test_a_gzip_bomb(code: str) -> None:
    """Attacks 17 and 18: 306 kB became 975 MiB in the client of embeddings, 713 MiB in that of Qdrant."""
    bomb = evil_http.gzip_bomb()
    assert len(bomb) < 310_000
    with answering(answer(bomb, Content_Encoding="gzip")) as evil:
        grown, said = growth(code, evil.url)
    assert "compressed, which was not asked for" in said
    assert grown < GROWTH


@pytest.mark.parametrize("code", [EMBED, LOOK], ids=["embedding", "Qdrant"])
@pytest.mark.parametrize(
    "fault", [evil_http.endless_body, evil_http.endless_extension], ids=["body", "extension"]
)
def test_an_answer_without_end(code: str, fault: Callable[[], Iterator[bytes]]) -> None:
    """The kind of attack 17: as much as the network carries until the time is over."""
    with answering(fault) as evil:
        grown, said = growth(code, evil.url)
    assert "the answer has more than" in said
    assert evil.sent < MOST_SENT
    assert grown < GROWTH + 10


@pytest.mark.parametrize("code", [EMBED, LOOK], ids=["embedding", "Qdrant"])
def test_answers_that_only_say_go_on(code: str) -> None:
    """The kind of attack 5: informational answers count, too."""
    with answering(evil_http.endless_continue) as evil:
        grown, said = growth(code, evil.url)
    assert "the answer has more than" in said
    assert evil.sent < MOST_SENT
    assert grown < GROWTH


def test_json_that_is_large_only_in_memory() -> None:
    """The kind of attack 4: small objects, of which a megabyte takes 32."""
    body = b'{"data":[' + b'{"":[]},' * 100_000 + b"{}]}"
    with answering(answer(body)) as evil:
        grown, said = growth(EMBED, evil.url)
    assert "lists and objects" in said
    assert grown < GROWTH


KEY = "q7ZkPw93LmXvB2"


async def embedded(url: str, key: str = "s3cret") -> str:
    service = EmbeddingService(ServiceModel("OpenAI", url, "m", api_key=key), retries=0, seconds=5)
    try:
        await service.embed(["x"])
    except EmbeddingError as error:
        return str(error)
    finally:
        await service.close()
    return ""


@pytest.mark.parametrize(
    "code",
    ["s3cret\ninjected", "x" * 65, "the key is s3cret", {"a": 1}, ["b"], "caf\u00e9", ""],
    ids=repr,
)
def test_the_code_of_an_error_is_a_word_or_nothing(code: object) -> None:
    """Attack 37: the code came with the key, with line breaks, and without a bound."""
    body = json.dumps({"error": {"code": code, "message": "s3cret"}}).encode()
    with answering(answer(body, "400 Bad Request")) as evil:
        said = asyncio.run(embedded(evil.url))
    assert "answered HTTP 400: it does not take such a request" in said


def test_a_code_that_is_a_word_is_told() -> None:
    with answering(answer(b'{"error":{"code":"insufficient_quota"}}', "429 Too Many")) as evil:
        assert "HTTP 429, insufficient_quota:" in asyncio.run(embedded(evil.url))


PARTS = [
    KEY,
    KEY[:8],
    KEY[-8:],
    f"{KEY[:3]}...{KEY[-4:]}",
    f"{KEY[:6]}\n{KEY[6:]}",
    " ".join(KEY),
    KEY.upper(),
]
PLACES: list[Callable[[str], object]] = [
    lambda text: {"error": {"message": f"wrong key {text}."}},
    lambda text: {"error": {"message": "no", "code": text}},
    lambda text: {"error": {"message": "no", "param": text}},
    lambda text: {"error": f"{text}"},
    lambda text: {"detail": [{"loc": [text], "msg": text}]},
    lambda text: {"message": f"https://evil.example/?key={text}"},
    lambda text: f"wrong key:{text}",
]


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
@pytest.mark.parametrize("place", PLACES, ids=range(len(PLACES)))
@pytest.mark.parametrize("part", PARTS, ids=range(len(PARTS)))
def test_no_part_of_the_key_comes_back(status: str, place: Callable[[str], object], part: str) -> None:
    """Attack 37: words of a service are told, whatever it repeats in them."""
    with answering(answer(as_bytes(place(part)), status)) as evil:
        said = asyncio.run(embedded(evil.url, KEY))
    assert said
    assert not any(KEY[at : at + 4].casefold() in said.casefold() for at in range(len(KEY) - 3))
    letters = "".join(filter(str.isalnum, said.casefold()))
    assert not any(KEY[at : at + 6].casefold() in letters for at in range(len(KEY) - 5))


def test_words_of_a_service_are_one_short_line() -> None:
    body = {"error": {"message": "a\r\n\x1b[2J\u202eb " + "c" * 30 + " long" * 900}}
    with answering(answer(as_bytes(body), "400 Bad Request")) as evil:
        said = asyncio.run(embedded(evil.url))
    assert said.isprintable()
    assert len(said) < 400


def test_a_failure_of_brackets_is_an_error_of_the_service() -> None:
    with answering(answer(b'{"error":' * 60, "400 Bad Request")) as evil:
        assert "answered HTTP 400" in asyncio.run(embedded(evil.url))


def test_a_redirect_is_not_followed() -> None:
    """Addresses: an embedding service cannot lead to the cloud's metadata."""
    with answering(answer(b"", "307 Moved", Location="http://169.254.169.254/latest")) as evil:
        started = time.monotonic()
        assert "it leads elsewhere" in asyncio.run(embedded(evil.url))
    assert time.monotonic() - started < 2


VECTOR = {"index": 0, "object": "embedding", "embedding": [1.0, 2.0]}
REST = {"model": "m", "usage": {"prompt_tokens": 1}}
JUNK: list[object] = [
    b"", b"{}", b"null", b"[]", b"<html>", b"[" * 900_000, b'{"data":' * 60_000, b"1" * 5_000,
    b'"' + b"\xff" * 9,
    {"data": []}, {"data": [{}]}, {"data": [None]}, {"data": [{**VECTOR, "embedding": None}]},
    {"data": [{**VECTOR, "embedding": "!!"}]}, {"data": [{**VECTOR, "embedding": ["a"]}]},
    {"data": [{**VECTOR, "embedding": [[1], [2, 3]]}], **REST},
    {"data": [VECTOR, VECTOR]}, {"data": [{**VECTOR, "index": 1}]}, {"data": [{**VECTOR, "index": True}]},
    {"data": [{**VECTOR, "embedding": ["1", "2"]}]}, {"data": [{**VECTOR, "embedding": [10**400]}]},
    {"data": [{**VECTOR, "embedding": [1e300]}]}, {"data": [{**VECTOR, "embedding": [True, False]}]},
    {"data": [{**VECTOR, "embedding": "AAAA"}]}, {"data": [{**VECTOR, "embedding": "AADAfw=="}]},
    {"data": {"0": VECTOR}}, {"data": [{**VECTOR, "embedding": {}}]},
    {"data": [{**VECTOR, "embedding": [float("nan"), 1.0]}], **REST},
    {"data": [{**VECTOR, "index": None}, {**VECTOR, "index": "x"}], **REST},
    {"data": [{**VECTOR, "embedding": []}], **REST},
]  # fmt: skip


def as_bytes(junk: object) -> bytes:
    return junk if isinstance(junk, bytes) else json.dumps(junk).encode()


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: as_bytes(junk)[:40].decode(errors="replace"))
def test_junk_of_an_embedding_service_is_an_error_of_the_service(junk: object) -> None:
    with answering(answer(as_bytes(junk))) as evil:
        said = asyncio.run(embedded(evil.url))
    assert "gave no usable answer" in said
    assert len(said) < 500


@pytest.mark.parametrize(
    "rest",
    [
        {},
        {"usage": None},
        {"usage": {"prompt_tokens": "x"}},
        {"usage": {"prompt_tokens": -1}},
        {"model": ["m"]},
    ],
    ids=repr,
)
def test_what_no_vector_depends_on_may_be_junk(rest: dict[str, object]) -> None:
    with answering(answer(json.dumps({"data": [VECTOR], **rest}).encode())) as evil:
        assert not asyncio.run(embedded(evil.url))


BAD = ("404 Not Found", "429 Too Many", "500 Error")
INFO = {"config": {"params": {}, "hnsw_config": {}, "optimizer_config": {}}, "status": "green"}
QDRANT: list[object] = [
    *JUNK[:9],
    {"result": None}, {"result": []}, {"result": {}}, {"result": "x", "status": "ok", "time": 0},
    {"result": INFO}, {"result": {**INFO, "config": {"metadata": {"flame_mcp": 7}}}},
    {"status": {"error": "x\ny"}, "result": True},
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "junk"),
    [
        *(("200 OK", junk) for junk in QDRANT),
        *((status, QDRANT[number]) for status in BAD for number in (3, 5, 15)),
    ],
    ids=lambda given: as_bytes(given)[:40].decode(errors="replace"),
)
def test_junk_of_qdrant_is_unavailable_and_no_crash(status: str, junk: object) -> None:
    """Attack 69: a traceback, exit code 1 and a crash loop. Now: 503 until it is right."""
    with answering(answer(as_bytes(junk), status)) as evil:
        target = QdrantTarget(evil.url, "docs")
        searcher = QdrantSearcher(target, NO_EMBEDDING, None, len, lambda _: None)
        asyncio.run(searcher.first_look())

        async def again() -> None:
            with pytest.raises(UnavailableError) as raised:
                await searcher.check()
            assert str(raised.value).isprintable()
            await searcher.close()

        asyncio.run(again())


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "1e999", '"nan"', '"inf"', "1e300", "-1"])
def test_a_token_that_never_expires(seconds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entra's answer made a token count for ever: after an hour the service refused all questions."""
    asked: list[str] = []

    def reply(_: httpx2.Request) -> httpx2.Response:
        asked.append("token")
        return httpx2.Response(200, content=f'{{"access_token": "t", "expires_in": {seconds}}}'.encode())

    (file := tmp_path / "token").write_text("assertion")
    real, now = httpx2.AsyncClient, [0.0]
    transport = httpx2.MockTransport(reply)
    monkeypatch.setattr(httpx2, "AsyncClient", lambda **_: real(transport=transport))
    monkeypatch.setattr(entra, "bound", lambda *_: None)
    names = {"AZURE_TENANT_ID": "a", "AZURE_CLIENT_ID": "b", "AZURE_FEDERATED_TOKEN_FILE": str(file)}
    identity = entra.WorkloadIdentity("https://a.openai.azure.com", None, names, lambda: now[0])
    assert asyncio.run(identity()) == "t"
    now[0] = 3 * 86_400.0
    asyncio.run(identity())
    assert len(asked) == 2
