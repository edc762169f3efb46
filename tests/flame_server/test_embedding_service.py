"""Embeddings of a service: against a stand-in, and against the real one where its variables are set.

They are AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_DEPLOYMENT, AZURE_OPENAI_API_KEY and AZURE_OPENAI_API_VERSION.
"""

import asyncio
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flame_server.embedding.circuit_breaker import CircuitBreaker
from flame_server.embedding.documents import MAX_TEXTS, MAX_TOKENS, DocumentEmbedder, batches, cost
from flame_server.embedding.entra import WorkloadIdentity
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.queries import ServiceQueryEmbedder
from flame_server.embedding.service import EmbeddingService, ServiceModel
from flame_server.errors import FlameMcpError
from flame_server.index.build import build_index
from flame_server.index.manifest import read_manifest
from flame_server.search.local import Searcher, open_searcher
from tests.flame_server.asgi import Clock
from tests.flame_server.embedding_service import DEPLOYMENT, KEY, MODEL, VERSION, StandIn, served


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with served() as service:
        yield service


@pytest.fixture
def azure(stand_in: StandIn) -> ServiceModel:
    return ServiceModel("AzureOpenAI", stand_in.url, DEPLOYMENT, api_version=VERSION, api_key=KEY)


@pytest.fixture(params=["stand-in", "real"])
def any_azure(request: pytest.FixtureRequest) -> ServiceModel:
    """The stand-in's model, and a real one's where there is one."""
    if request.param == "stand-in":
        model: ServiceModel = request.getfixturevalue("azure")
        return model
    variables = [os.environ.get(f"AZURE_OPENAI_{name}") for name in ("ENDPOINT", "DEPLOYMENT", "API_KEY")]
    endpoint, deployment, key = variables
    if not (endpoint and deployment and key):
        pytest.skip("no real service: set AZURE_OPENAI_ENDPOINT, _DEPLOYMENT and _API_KEY")
    version = os.environ.get("AZURE_OPENAI_API_VERSION", VERSION)
    return ServiceModel("AzureOpenAI", endpoint, deployment, api_version=version, api_key=key)


async def embed(model: ServiceModel, *texts: str, retries: int = 0) -> "np.typing.NDArray[np.float32]":
    asked = EmbeddingService(model, retries, 20)
    try:
        return (await asked.embed(texts)).vectors
    finally:
        await asked.close()


async def test_vectors_are_of_unit_length_and_in_order(any_azure: ServiceModel) -> None:
    vectors = await embed(any_azure, "the camera follows", "the camera follows", "audio lag")
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.99 > vectors[0] @ vectors[2]


async def test_a_wrong_key_is_said_without_the_key(any_azure: ServiceModel) -> None:
    with pytest.raises(EmbeddingError, match=r"HTTP 401.*check the API key") as raised:
        await embed(replace(any_azure, api_key="wrong-key"), "secret question")
    assert raised.value.reason == "credentials"
    assert "secret" not in str(raised.value)
    assert "wrong-key" not in str(raised.value)


async def test_an_unknown_deployment_is_said(any_azure: ServiceModel) -> None:
    with pytest.raises(EmbeddingError, match=r"HTTP 404.*check the deployment"):
        await embed(replace(any_azure, model="no-such-deployment"), "x")


async def test_vectors_come_as_base64_and_of_the_size_that_was_asked_for(
    azure: ServiceModel, stand_in: StandIn
) -> None:
    assert (await embed(replace(azure, dimensions=5), "x")).shape == (1, 5)
    assert (stand_in.requests[0]["encoding_format"], stand_in.requests[0]["dimensions"]) == ("base64", 5)
    stand_in.wrong_dimensions = True
    with pytest.raises(EmbeddingError, match="5 were expected"):
        await embed(replace(azure, dimensions=5), "x")


@pytest.mark.parametrize("key", [KEY, None])
async def test_anything_that_speaks_openais_api(stand_in: StandIn, key: str | None) -> None:
    model = ServiceModel("OpenAI", f"{stand_in.url}/v1", "any", api_key=key)
    assert (await embed(model, "x")).shape == (1, 8)
    assert stand_in.requests[0]["model"] == "any"


@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "rate"), (500, "service"), (503, "service"), (403, "credentials"), (400, "refused")],
)
async def test_failures_have_a_reason_and_never_repeat_the_text(
    azure: ServiceModel, stand_in: StandIn, status: int, reason: str
) -> None:
    stand_in.failures = [(status, {})]
    with pytest.raises(EmbeddingError) as raised:
        await embed(azure, "secret question")
    assert raised.value.reason == reason
    assert "secret" not in str(raised.value)
    assert len(stand_in.requests) == 1


async def test_a_build_waits_as_long_as_the_service_says(azure: ServiceModel, stand_in: StandIn) -> None:
    stand_in.failures = [
        (429, {"retry-after-ms": "20"}),
        (500, {"retry-after": "0.02"}),
        (408, {"retry-after-ms": "1"}),
    ]
    assert (await embed(azure, "x", retries=4)).shape == (1, 8)
    assert len(stand_in.requests) == 4


async def test_nobody_there_is_said(azure: ServiceModel) -> None:
    with pytest.raises(EmbeddingError, match="cannot be reached") as raised:
        await embed(replace(azure, url="http://127.0.0.1:1"), "x")
    assert raised.value.reason == "connection"


# Workload identity


def identity(stand_in: StandIn, tmp_path: Path, clock: Clock | None = None) -> WorkloadIdentity:
    (tmp_path / "assertion").write_text("pod-token\n")
    environment = {
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "assertion"),
        "AZURE_AUTHORITY_HOST": stand_in.url,
    }
    return WorkloadIdentity(environment, clock or Clock())


async def test_a_pods_token_becomes_one_for_azure_and_is_kept(stand_in: StandIn, tmp_path: Path) -> None:
    clock = Clock()
    token = identity(stand_in, tmp_path, clock)
    assert await token() == await token()
    assert stand_in.token_requests == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["client"],
            "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
            "client_assertion": ["pod-token"],
            "scope": ["https://cognitiveservices.azure.com/.default"],
        }
    ]
    clock.now += 3_301
    (tmp_path / "assertion").write_text("renewed")
    await token()
    assert stand_in.token_requests[1]["client_assertion"] == ["renewed"]


async def test_without_a_key_the_pods_identity_is_used(
    stand_in: StandIn, azure: ServiceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assertion").write_text("pod-token")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "client")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "assertion"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", stand_in.url)
    assert (await embed(replace(azure, api_key=None), "x")).shape == (1, 8)
    stand_in.entra_status = 401
    with pytest.raises(EmbeddingError, match=r"AADSTS70021: No matching.*check the federated"):
        await embed(replace(azure, api_key=None), "x")


async def test_no_key_and_no_identity_is_said() -> None:
    with pytest.raises(EmbeddingError, match="neither an API key nor AZURE_TENANT_ID, AZURE_CLIENT_ID"):
        WorkloadIdentity({})


# Builds


def test_batches_hold_what_one_request_may() -> None:
    texts = ["x"] * (MAX_TEXTS + 1) + ["y" * MAX_TOKENS, "z" * MAX_TOKENS, "z" * MAX_TOKENS]
    found = [list(batch) for batch in batches(texts)]
    assert [text for batch in found for text in batch] == texts
    assert [len(batch) for batch in found] == [MAX_TEXTS, 2, 1, 1]
    assert not list(batches([]))


def test_the_cost_is_told_where_prices_are_known() -> None:
    assert cost(208_000, MODEL) == f"208,000 tokens of {MODEL}, about $0.0042 at its list price"
    assert cost(10, "own-model") == "10 tokens of own-model"


def build(docs: Path, out: Path, model: ServiceModel) -> list[str]:
    heard: list[str] = []
    build_index(str(docs), out, embedding=DocumentEmbedder(model, heard.append), report=heard.append)
    return heard


def to_embed(heard: list[str]) -> tuple[int, int]:
    """How many texts were new, and how many were known."""
    (said,) = [line for line in heard if "passages to embed" in line]
    new, known = re.findall(r"\d+", said)
    return int(new), int(known)


def test_a_build_tells_progress_and_cost_and_asks_for_each_text_once(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn
) -> None:
    heard = build(small_docs, tmp_path, azure)
    new, kept = to_embed(heard)
    assert (new > 4, kept) == (True, 0)
    assert any(line.startswith(f"{new}/{new} passages embedded") for line in heard)
    assert any(f"tokens of {MODEL}, about $0.0000" in line for line in heard)
    manifest = read_manifest(tmp_path)
    assert (manifest.embedding.model, manifest.embedding.dimensions) == (DEPLOYMENT, 8)
    assert to_embed(build(small_docs, tmp_path, azure)) == (0, new)
    assert len(stand_in.requests) == 1
    assert read_manifest(tmp_path).embedding == manifest.embedding


def test_vectors_of_another_model_or_of_damaged_files_are_not_taken(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn
) -> None:
    build(small_docs, tmp_path, azure)
    assert to_embed(build(small_docs, tmp_path, replace(azure, dimensions=4)))[1] == 0
    vectors = tmp_path / read_manifest(tmp_path).generation / "vectors.npz"
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"x")
    assert to_embed(build(small_docs, tmp_path, replace(azure, dimensions=4)))[1] == 0
    assert len(stand_in.requests) == 3


def test_a_model_that_changed_its_dimensions_is_noticed(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn
) -> None:
    build(small_docs, tmp_path / "index", azure)
    stand_in.dimensions = 9
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "new.md").write_text(
        (small_docs / "doc/flame/camera.md").read_text() + "\n## New\n\nText.\n"
    )
    with pytest.raises(FlameMcpError, match="gives 9 dimensions now"):
        build(tmp_path / "docs", tmp_path / "index", azure)


# Questions


@pytest.fixture
async def searcher(small_docs: Path, tmp_path: Path, azure: ServiceModel) -> Searcher:
    await asyncio.to_thread(build, small_docs, tmp_path, azure)
    return open_searcher(tmp_path, azure)


async def test_questions_are_embedded_once(searcher: Searcher, stand_in: StandIn) -> None:
    first = await searcher.answer("Audio > Caching", 2)
    assert first.degraded is None
    assert first.found[0].chunk.title == "Caching"
    assert await searcher.answer("Audio > Caching", 2) == first
    assert len(stand_in.requests) == 2
    await searcher.close()


async def test_a_failing_service_degrades_to_words_and_is_then_left_alone(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(build, small_docs, tmp_path, azure)
    reasons: list[str] = []
    searcher = open_searcher(tmp_path, azure, reasons.append)
    stand_in.failures = [(500, {})] * 3
    for number in range(5):
        answer = await searcher.answer(f"private viewport {number}", 1)
        assert (answer.degraded, answer.found[0].chunk.title) == ("lexical", "Viewport")
    assert reasons == ["service"] * 3 + ["open"] * 2
    assert len(stand_in.requests) == 4
    assert "private" not in caplog.text
    await searcher.close()


async def test_a_slow_service_costs_a_question_only_its_timeout(
    azure: ServiceModel, stand_in: StandIn
) -> None:
    stand_in.stalled = threading.Event()
    reasons: list[str] = []
    asked = ServiceQueryEmbedder(EmbeddingService(azure, 0, 20), lambda: 8, reasons.append, seconds=0.05)
    with pytest.raises(EmbeddingError, match=r"within 0\.05 s"):
        await asked.embed_query("x")
    assert reasons == ["timeout"]
    stand_in.stalled.set()
    assert len(await asked.embed_query("x")) == 8
    await asked.close()


async def test_a_service_that_gives_other_dimensions_degrades(searcher: Searcher, stand_in: StandIn) -> None:
    stand_in.dimensions = 9
    assert (await searcher.answer("viewport", 1)).degraded == "lexical"
    await searcher.close()


@pytest.mark.parametrize("change", [{"model": "other"}, {"dimensions": 4}, {"type": "OpenAI"}])
async def test_an_index_of_another_model_is_refused(
    small_docs: Path, tmp_path: Path, azure: ServiceModel, change: dict[str, str]
) -> None:
    await asyncio.to_thread(build, small_docs, tmp_path, azure)
    with pytest.raises(
        FlameMcpError, match=f"has embeddings of {DEPLOYMENT} .AzureOpenAI, 8 dim.*rebuild it with"
    ):
        open_searcher(tmp_path, replace(azure, **change))  # type: ignore[arg-type]


def test_the_breaker_opens_tries_and_closes() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for _ in range(3):
        assert breaker.admits()
        breaker.failed()
    assert not breaker.admits()
    clock.now += 5
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.failed()
    clock.now += 9
    assert not breaker.admits()
    clock.now += 1
    assert breaker.admits()
    breaker.succeeded()
    assert [breaker.admits() for _ in range(3)] == [True] * 3
