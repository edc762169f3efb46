"""Services that take less than OpenAI's, or answer less: builds and queries work with all of them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flame_server.embedding import documents
from flame_server.embedding.documents import USUAL_TEXTS, DocumentEmbedder
from flame_server.embedding.errors import EmbeddingError
from flame_server.embedding.identity import Vectors
from flame_server.embedding.service import Format, ServiceModel
from flame_server.search.local import open_searcher
from tests.support.server.embedding_service import KEY, StandIn, build_with_service, embed, served, vector

TEXTS = [f"text {number} of the docs" for number in range(150)]


def build(model: ServiceModel, texts: Sequence[str] = TEXTS) -> tuple[Vectors, list[str]]:
    heard: list[str] = []
    return DocumentEmbedder(model, heard.append).embed(texts), heard


def expected() -> Vectors:
    rows = np.stack([vector(text, 8) for text in TEXTS])
    norms: Vectors = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / norms


def sizes(stand_in: StandIn) -> list[int]:
    return [len(request["input"]) for request in stand_in.requests]


WORDS = [
    (422, "batch size {given} > maximum allowed batch size {most}"),
    (400, "Value error, batch size is invalid, it should not be larger than {most}.: input.contents"),
    (413, ""),
    (400, "No."),
    (422, ""),
]


@pytest.mark.parametrize("refusal", WORDS, ids=range(len(WORDS)))
@pytest.mark.parametrize("most", [32, 10, 1])
def test_a_build_finds_how_many_texts_are_taken(
    openai: ServiceModel, stand_in: StandIn, most: int, refusal: tuple[int, str]
) -> None:
    stand_in.most_texts, stand_in.refusal = most, refusal
    vectors, heard = build(openai)
    assert np.allclose(vectors, expected(), atol=1e-5)
    found = USUAL_TEXTS
    while found > most:
        assert f"the service takes no {found} texts at once: {found // 2} from now on" in heard
        found //= 2
    # What was found is remembered.
    assert sizes(stand_in)[-3:] == [found, found, len(TEXTS) % found or found]


def test_a_batch_size_that_is_set_is_kept(openai: ServiceModel, stand_in: StandIn) -> None:
    stand_in.most_texts = 50
    build(replace(openai, batch_size=50))
    assert sizes(stand_in) == [50, 50, 50]


def test_a_large_batch_size_is_sent_at_once(openai: ServiceModel, stand_in: StandIn) -> None:
    build(replace(openai, batch_size=2_048))
    assert sizes(stand_in) == [150]


def test_a_batch_size_that_is_too_large_is_halved(openai: ServiceModel, stand_in: StandIn) -> None:
    stand_in.most_texts = 32
    build(replace(openai, batch_size=100))
    assert sizes(stand_in) == [100, 50, *[25] * 6]


def test_words_about_size_in_an_answer_without_vectors_count(openai: ServiceModel, stand_in: StandIn) -> None:
    stand_in.raw = b'{"code": 20042, "message": "input batch size > maximum allowed", "data": null}'
    with pytest.raises(EmbeddingError, match="maximum allowed") as raised:
        build(openai)
    assert sizes(stand_in) == [64, 32, 16, 8, 4, 2, 1]
    assert raised.value.kind == "world"


def test_an_answer_that_is_too_large_is_asked_for_in_parts(
    openai: ServiceModel, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "_RETRIES", 0)
    stand_in.dimensions, stand_in.formats = 8_192, ("float",)
    vectors, _ = build(replace(openai, encoding_format="float"), TEXTS[:64])
    assert vectors.shape == (64, 8_192)
    assert sizes(stand_in) == [64, 32, 32]


def test_what_one_text_is_refused_for_is_told(openai: ServiceModel, stand_in: StandIn) -> None:
    stand_in.formats = ()
    stand_in.unclear = True
    with pytest.raises(
        EmbeddingError, match='HTTP 400: it does not take such a request; it says "bad request"'
    ):
        build(openai)
    assert sizes(stand_in) == [64] * 3 + [1] * 3


FORMATS: list[tuple[tuple[str | None, ...], list[str | None]]] = [
    (("base64", "float", None), ["base64"]),
    (("float", None), ["base64", "float"]),
    (("float",), ["base64", "float"]),
    (("base64",), ["base64"]),
    ((None,), ["base64", "float", None]),
]


@pytest.mark.parametrize("unclear", [False, True])
@pytest.mark.parametrize(("taken", "asked"), FORMATS)
def test_a_build_finds_the_format_that_is_taken(
    openai: ServiceModel,
    stand_in: StandIn,
    taken: tuple[str | None, ...],
    asked: list[str | None],
    *,
    unclear: bool,
) -> None:
    stand_in.formats, stand_in.unclear = taken, unclear
    vectors, _ = build(openai)
    assert np.allclose(vectors, expected(), atol=1e-5)
    # What was found is remembered.
    assert [request.get("encoding_format") for request in stand_in.requests] == [*asked, asked[-1], asked[-1]]


@pytest.mark.parametrize("given", ["base64", "float"])
@pytest.mark.parametrize("encoding", ["base64", "float", None])
def test_vectors_are_read_in_whatever_format_they_come(
    openai: ServiceModel, stand_in: StandIn, given: str, encoding: Format | None
) -> None:
    stand_in.given = given
    vectors, _ = build(replace(openai, encoding_format=encoding))
    assert np.allclose(vectors, expected(), atol=1e-5)


@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_a_format_that_is_set_is_the_only_one(
    openai: ServiceModel, stand_in: StandIn, encoding: Format
) -> None:
    stand_in.formats = (None,)
    with pytest.raises(
        EmbeddingError, match=f'it says "encoding_format={encoding} is not supported"'
    ) as raised:
        build(replace(openai, encoding_format=encoding), ["x"])
    assert len(stand_in.requests) == 1
    assert raised.value.kind == "user"


async def test_what_is_wrong_is_told_and_not_the_last_format(openai: ServiceModel, stand_in: StandIn) -> None:
    stand_in.failures = [(400, {})]
    stand_in.formats = ()
    with pytest.raises(EmbeddingError, match='says "no: '):
        await embed(openai, "some text")
    stand_in.failures = [(400, {}), (429, {})]
    with pytest.raises(EmbeddingError, match="HTTP 429"):
        await embed(openai, "some text")


async def test_dimensions_are_sent_only_when_set(openai: ServiceModel, stand_in: StandIn) -> None:
    await embed(openai, "x")
    await embed(replace(openai, dimensions=4), "x")
    assert ["dimensions" in request for request in stand_in.requests] == [False, True]


PARTS = [("usage",), ("index",), ("model",), ("usage", "index", "model")]


@pytest.mark.parametrize("without", PARTS, ids=" ".join)
async def test_answers_may_lack_what_is_no_vector(
    small_docs: Path, tmp_path: Path, openai: ServiceModel, stand_in: StandIn, without: tuple[str, ...]
) -> None:
    stand_in.without = without
    heard = await asyncio.to_thread(build_with_service, small_docs, tmp_path, openai)
    told = any("unknown number of tokens" in line for line in heard)
    assert told == ("usage" in without)
    reasons: list[str] = []
    searcher = open_searcher(tmp_path, openai, reasons.append)
    answer = await searcher.answer("Audio > Caching", 1)
    assert (answer.degraded, answer.found[0].chunk.title, reasons) == (None, "Caching", [])
    await searcher.close()


ORDERS: list[Callable[[list[Any]], list[Any]]] = [list, lambda data: data[1::2] + data[::2]]


@pytest.mark.parametrize("order", ORDERS, ids=["in order", "odd first"])
def test_vectors_come_in_any_order(
    openai: ServiceModel, stand_in: StandIn, order: Callable[[list[Any]], list[Any]]
) -> None:
    stand_in.order = order
    assert np.allclose(build(openai)[0], expected(), atol=1e-5)


def test_a_model_that_changes_its_dimensions_during_a_build_is_told(
    openai: ServiceModel, stand_in: StandIn
) -> None:
    def progress(_: int) -> None:
        stand_in.dimensions = 9

    with pytest.raises(EmbeddingError, match="8 dimensions at first, and of 9 later"):
        DocumentEmbedder(openai, lambda _: None).embed(TEXTS, progress)


SHAPES = [
    b"<html>Sign in</html>", b"", b"null", b"{}", b'{"data": []}', b'{"data": [{"embedding": ["a"]}]}',
    b'{"data": [{"embedding": [NaN, 1, 1, 1, 1, 1, 1, 1]}]}', b'{"data": [{"embedding": [1, 2]}]}',
    b'{"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}', b'{"data": [{"index": 7, "embedding": [1]}]}',
    b'{"error": {"message": "the model is loading"}}',
]  # fmt: skip


@pytest.fixture(scope="module")
def built(small_docs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the stand-in's vectors."""
    folder = tmp_path_factory.mktemp("built")
    with served() as service:
        build_with_service(small_docs, folder, ServiceModel("OpenAI", f"{service.url}/v1", "own-model"))
    return folder


@pytest.mark.parametrize("raw", SHAPES, ids=range(len(SHAPES)))
async def test_wrong_shapes_count_open_the_breaker_and_degrade_without_a_traceback(
    built: Path, openai: ServiceModel, stand_in: StandIn, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reasons: list[str] = []
    searcher = open_searcher(built, openai, reasons.append)
    stand_in.raw = raw
    for number in range(4):
        answer = await searcher.answer(f"private viewport {number}", 1)
        assert (answer.degraded, answer.found[0].chunk.title) == ("lexical", "Viewport")
    assert reasons[0] in ("service", "dimensions")
    assert reasons == [*[reasons[0]] * 3, "open"]
    assert len(stand_in.requests) == 3
    assert not [record for record in caplog.records if record.exc_info]
    assert "private" not in caplog.text
    assert KEY not in caplog.text
    await searcher.close()


@pytest.mark.parametrize("raw", SHAPES[:-1], ids=range(len(SHAPES) - 1))
def test_a_build_ends_with_a_plain_error(openai: ServiceModel, stand_in: StandIn, raw: bytes) -> None:
    stand_in.raw = raw
    with pytest.raises(EmbeddingError, match="gave no usable answer: it") as raised:
        build(openai)
    assert raised.value.kind == "world"


def test_dimensions_that_were_not_asked_for_are_the_users(openai: ServiceModel, stand_in: StandIn) -> None:
    stand_in.wrong_dimensions = True
    with pytest.raises(EmbeddingError, match="5 dimensions, 4 were expected") as raised:
        build(replace(openai, dimensions=4))
    assert (raised.value.reason, raised.value.kind) == ("dimensions", "user")
