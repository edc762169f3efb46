"""An index in a Qdrant server: a stand-in, and a real one where QDRANT_URL (and QDRANT_API_KEY) name it."""

import asyncio
import datetime as dt
import ipaddress
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastmcp import Client

from flame_server.credentials import Credentials
from flame_server.embedding.identity import NO_EMBEDDING, EmbeddingIdentity
from flame_server.errors import FlameMcpError, UnavailableError
from flame_server.index.build import build_index
from flame_server.publishing.publish import publish_index
from flame_server.qdrant.connection import QdrantTarget, connect
from flame_server.search.factory import open_search_service
from flame_server.search.local import open_searcher
from flame_server.search.qdrant import MismatchError, QdrantSearcher
from flame_server.search.service import SearchService
from flame_server.serving.app import create_server
from flame_server.serving.metrics import Metrics
from flame_server.settings import Settings
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.asgi import Clock, fetch
from tests.support.server.qdrant_server import KEY, qdrant_served
from tests.support.server.small_docs import quiet


@pytest.fixture(params=["stand-in", "real"])
def target(request: pytest.FixtureRequest) -> Iterator[QdrantTarget]:
    """An alias of its own, which nothing stands behind yet."""
    if request.param == "stand-in":
        with qdrant_served(KEY) as server:
            yield QdrantTarget(server.url, "flame-docs", KEY)
        return
    url = os.environ.get("QDRANT_URL")
    if not url:
        pytest.skip("no real Qdrant: set QDRANT_URL")
    found = QdrantTarget(url, f"flame-mcp-test-{uuid4().hex[:8]}", os.environ.get("QDRANT_API_KEY"))
    yield found
    asyncio.run(_remove(found))


async def _remove(target: QdrantTarget) -> None:
    client = connect(target, 30)
    for name in await collections(target):
        await client.delete_collection(name)
    await client.close()


async def collections(target: QdrantTarget) -> list[str]:
    client = connect(target, 30)
    found = [collection.name for collection in (await client.get_collections()).collections]
    await client.close()
    return sorted(name for name in found if name.startswith(target.collection))


@pytest.fixture
def stand_in() -> Iterator[QdrantStandIn]:
    with qdrant_served() as server:
        yield server


def service(target: QdrantTarget, embedding: str) -> SearchService:
    """The service with the settings for a target."""
    settings: dict[str, Any] = {
        "vector_store_type": "Qdrant",
        "qdrant_url": target.url,
        "qdrant_collection": target.collection,
        "qdrant_ca_file": target.ca_file,
        "embedding_type": embedding,
    }
    return open_search_service(Settings(**settings), Credentials(qdrant_api_key=target.api_key), Metrics())


def lexical(
    target: QdrantTarget, clock: Clock | None = None, wanted: EmbeddingIdentity = NO_EMBEDDING
) -> QdrantSearcher:
    changed: Callable[[dict[str, Any]], None] = lambda _: None  # noqa: E731
    return QdrantSearcher(target, wanted, None, len, changed, clock or Clock())


QUESTIONS = ["viewport", "audio lag when an effect is heard initially", "camera world player", "?! of the"]


@pytest.mark.parametrize("embedding", ["Local", "None"])
def test_it_ranks_like_the_embedded_engine(local_index: Path, target: QdrantTarget, embedding: Any) -> None:  # noqa: ANN401
    publish_index(local_index, target, quiet)
    embedded = open_searcher(local_index, embedding)
    served = service(target, embedding)

    async def compare() -> None:
        for question in QUESTIONS:
            for group in (None, "flame"):
                here = await embedded.answer(question, 3, group)
                there = await served.answer(question, 3, group)
                assert [found.chunk for found in there.found] == [found.chunk for found in here.found]
                assert [f.score for f in there.found] == pytest.approx(
                    [f.score for f in here.found], abs=2e-3
                )
                assert there.degraded is None
        assert served.index == embedded.index
        assert served.groups == embedded.groups == ("bridge", "flame")
        await served.close()

    asyncio.run(compare())


def test_versions_are_told_apart_like_in_the_embedded_engine(
    small_docs: Path, tmp_path: Path, target: QdrantTarget
) -> None:
    build_index(str(small_docs), tmp_path, embedding="none", version="1.9.0", report=quiet)
    build_index(str(small_docs), tmp_path, embedding="none", keep_versions=True, report=quiet)
    publish_index(tmp_path, target, quiet)
    embedded, served = open_searcher(tmp_path, "None"), lexical(target)

    async def compare() -> None:
        for version in (None, "latest", "1.9.0"):
            here = await embedded.answer("camera world viewport", 9, None, version)
            there = await served.answer("camera world viewport", 9, None, version)
            assert here.found
            assert [found.chunk for found in there.found] == [found.chunk for found in here.found]
            assert {found.chunk.version for found in there.found} == {version or "latest"}
            assert served.about(version) == embedded.about(version)
        assert list(served.versions) == list(embedded.versions) == ["latest", "1.9.0"]
        await served.close()

    asyncio.run(compare())


def test_publishing_moves_the_alias_and_keeps_the_one_before(
    small_docs: Path, tmp_path: Path, target: QdrantTarget
) -> None:
    names = []
    for number in range(3):
        build_index(str(small_docs), tmp_path, embedding="none", version=f"1.{number}", report=quiet)
        names.append(publish_index(tmp_path, target, quiet).collection)
    assert asyncio.run(collections(target)) == sorted(names[1:])
    heard: list[str] = []
    assert publish_index(tmp_path, target, heard.append).collection == names[2]
    assert heard == [f"{target.collection} already points to {names[2]}, which holds the same"]
    served = service(target, "None")
    assert served.index
    assert served.index["version"] == "1.2"


def test_a_reader_notices_a_new_index_alone(small_docs: Path, tmp_path: Path, target: QdrantTarget) -> None:
    clock = Clock()
    searcher = lexical(target, clock)

    async def version() -> str:
        await searcher.check()
        assert searcher.index
        return str(searcher.index["version"])

    build_index(str(small_docs), tmp_path, embedding="none", version="1", report=quiet)
    publish_index(tmp_path, target, quiet)
    with asyncio.Runner() as runner:
        assert runner.run(version()) == "1"
        build_index(str(small_docs), tmp_path, embedding="none", version="2", report=quiet)
        runner.run(asyncio.to_thread(publish_index, tmp_path, target, quiet))
        clock.now += 11
        assert runner.run(version()) == "2"
        runner.run(searcher.close())


def test_a_failure_while_loading_leaves_the_alias_and_nothing_else(
    small_docs: Path, tmp_path: Path, target: QdrantTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(str(small_docs), tmp_path, embedding="none", report=quiet)
    before = publish_index(tmp_path, target, quiet).collection
    build_index(str(small_docs), tmp_path, embedding="none", version="2", report=quiet)
    monkeypatch.setattr("flame_server.publishing.collection._point", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish_index(tmp_path, target, quiet)
    assert asyncio.run(collections(target)) == [before]


def test_vectors_of_another_model_are_refused_at_start_and_later(
    lexical_index: Path, target: QdrantTarget
) -> None:
    publish_index(lexical_index, target, quiet)
    with pytest.raises(FlameMcpError, match="has no embeddings, this server uses embeddings of all-MiniLM"):
        service(target, "Local")
    searcher = lexical(target, wanted=EmbeddingIdentity("OpenAI", "other", 8, "f"))

    async def ask() -> None:
        with pytest.raises(MismatchError, match="publish one made with that"):
            await searcher.answer("viewport", 1)
        await searcher.close()

    asyncio.run(ask())


def test_a_wrong_key_is_said_and_not_repeated(lexical_index: Path, target: QdrantTarget) -> None:
    if target.api_key is None:
        pytest.skip("this Qdrant asks for no key")
    with pytest.raises(UnavailableError, match=r"HTTP 40[13]: check the API key") as raised:
        publish_index(lexical_index, replace(target, api_key="wrong-s3cret"), quiet)
    assert "s3cret" not in str(raised.value)


def test_a_collection_is_no_alias(lexical_index: Path, target: QdrantTarget) -> None:
    name = publish_index(lexical_index, target, quiet).collection
    with pytest.raises(FlameMcpError, match=r"is a collection at .*, not an alias: give another"):
        publish_index(lexical_index, replace(target, collection=name), quiet)


async def test_qdrant_away_is_not_ready_and_recovers_alone(
    lexical_index: Path, stand_in: QdrantStandIn
) -> None:
    target = QdrantTarget(stand_in.url, "flame-docs")
    clock = Clock()
    searcher = lexical(target, clock)
    server = create_server(searcher, Settings(embedding_type="None"))
    app = server.http_app(path="/mcp", stateless_http=True, json_response=True)
    missing = await fetch(app, "GET", "/health/ready")
    assert missing.status_code == 503
    # What is missing is in the log and in the server's details: this is for anybody.
    assert missing.json()["problem"] == "vector store unreachable"
    await asyncio.to_thread(publish_index, lexical_index, target, quiet)
    ready = await fetch(app, "GET", "/health/ready")
    assert (ready.status_code, ready.json()["index"]["chunks"]) == (200, 4)
    stand_in.failing = 500
    async with Client(server) as client:
        away = await client.call_tool("get_flame_knowledge", {"query": "viewport"}, raise_on_error=False)
        assert away.is_error
        assert "answered HTTP 500: look at its log" in str(away.content)
        assert (await fetch(app, "GET", "/health/ready")).status_code == 503
        assert (await fetch(app, "GET", "/health")).status_code == 200
        stand_in.failing = None
        back = await client.call_tool("get_flame_knowledge", {"query": "viewport"})
    assert back.structured_content
    assert back.structured_content["results"][0]["title"] == "Viewport"
    assert (await fetch(app, "GET", "/health/ready")).status_code == 200
    await searcher.close()


async def test_a_server_that_serves_only_reads(lexical_index: Path, stand_in: QdrantStandIn) -> None:
    target = QdrantTarget(stand_in.url, "flame-docs")
    await asyncio.to_thread(publish_index, lexical_index, target, quiet)
    stand_in.requests.clear()
    searcher = lexical(target)
    for _ in range(2):
        await searcher.answer("viewport", 1)
    assert (
        stand_in.requests
        == [("GET", "/collections/flame-docs")] + [("POST", "/collections/flame-docs/points/query")] * 2
    )
    await searcher.close()


async def test_nobody_there_is_said() -> None:
    searcher = lexical(QdrantTarget("http://127.0.0.1:1", "flame-docs"))
    with pytest.raises(UnavailableError, match=r"Qdrant at http://127\.0\.0\.1:1 cannot be reached"):
        await searcher.check()
    await searcher.close()


async def test_somebody_elses_collection_is_said(stand_in: QdrantStandIn) -> None:
    target = QdrantTarget(stand_in.url, "other")
    client = connect(target, 5)
    await client.create_collection("other", vectors_config={})
    await client.close()
    searcher = lexical(target)
    with pytest.raises(UnavailableError, match="holds no index of this server: load an index there"):
        await searcher.check()
    await searcher.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(private)
    return folder / "tls.crt", folder / "tls.key"


def test_tls_is_checked_with_the_authorities_of_the_setting(lexical_index: Path, tmp_path: Path) -> None:
    public, private = certificate(tmp_path)
    with qdrant_served(KEY, public, private) as server:
        target = QdrantTarget(server.url, "flame-docs", KEY, public)
        publish_index(lexical_index, target, quiet)
        assert service(target, "None").index
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            publish_index(lexical_index, replace(target, ca_file=None), quiet)
        with pytest.raises(FlameMcpError, match="which holds no usable certificate"):
            publish_index(lexical_index, replace(target, ca_file=private), quiet)
