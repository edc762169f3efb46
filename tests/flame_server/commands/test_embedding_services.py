"""Builds and servers with an embedding service that differs from OpenAI's, by their command line."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flame_server.commands import outcome
from flame_server.commands.main import main
from flame_server.credentials import Credentials
from flame_server.search.factory import open_search_service
from flame_server.serving.metrics import Metrics
from flame_server.settings import load_settings
from tests.support.server.embedding_service import KEY, StandIn, served

Setting = Callable[..., dict[str, str]]


@pytest.fixture
def settings(tmp_path: Path) -> Setting:
    (tmp_path / "key").write_text(KEY)

    def make(service: StandIn, **more: object) -> dict[str, str]:
        own = {
            "BASE_URL": f"{service.url}/v1",
            "MODEL": "own-model",
            "API_KEY_FILE": str(tmp_path / "key"),
            **more,
        }
        variables = {f"FLAME_MCP_OPENAI_{name}": str(value) for name, value in own.items()}
        return {
            **variables,
            "FLAME_MCP_EMBEDDING_TYPE": "OpenAI",
            outcome.RESULT_FILE: str(tmp_path / "result"),
        }

    return make


def build(docs: Path, tmp_path: Path, environment: dict[str, str]) -> tuple[Result, dict[str, Any]]:
    command = [
        "index",
        "build",
        "--source",
        str(docs),
        "--out",
        str(tmp_path / "index"),
        "--embedding",
        "openai",
    ]
    done = CliRunner().invoke(main, command, env=environment)
    assert "Traceback" not in done.output
    return done, json.loads((tmp_path / "result").read_text())


def many(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(40):
        (docs / f"page{number}.md").write_text(f"# Page {number}\n\nText of page {number}.\n")
    return docs


def test_forty_pages_are_embedded_by_a_service_that_takes_32_texts(tmp_path: Path, settings: Setting) -> None:
    with served() as service:
        service.most_texts = 32
        done, result = build(many(tmp_path), tmp_path, settings(service))
        assert [len(request["input"]) for request in service.requests] == [64, 32, 32, 16]
    assert done.exit_code == 0
    assert "the service takes no 64 texts at once: 32 from now on" in done.stderr
    assert result["documents"] == 40


def test_the_settings_reach_the_service(tmp_path: Path, settings: Setting) -> None:
    with served() as service:
        environment = settings(service, BATCH_SIZE=10, ENCODING_FORMAT="Float", DIMENSIONS=4)
        done, _ = build(many(tmp_path), tmp_path, environment)
        assert {len(request["input"]) for request in service.requests} == {10}
        assert {request["encoding_format"] for request in service.requests} == {"float"}
        assert {request["dimensions"] for request in service.requests} == {4}
    assert done.exit_code == 0


def refuses_batches(service: StandIn) -> None:
    service.most_texts = 0


def refuses_formats(service: StandIn) -> None:
    service.formats = ()


def gives_other_dimensions(service: StandIn) -> None:
    service.wrong_dimensions = True


def is_a_page(service: StandIn) -> None:
    service.raw = b"<html>Sign in</html>"


def loses_vectors(service: StandIn) -> None:
    service.order = lambda data: data[1:]


def repeats_the_request(service: StandIn) -> None:
    service.failures = [(400, {})] * 6


FAILURES: list[tuple[Callable[[StandIn], None], int, str]] = [
    (
        refuses_batches,
        1,
        'HTTP 422: it does not take such a request; it says "batch size 1 > maximum allowed',
    ),
    (refuses_formats, 1, 'it says "encoding_format=None is not supported"'),
    (gives_other_dimensions, 1, "gave vectors of 5 dimensions, 4 were expected: set the dimensions"),
    (is_a_page, 75, "gave no usable answer: it is not JSON: check the address"),
    (loses_vectors, 75, "gave no usable answer: it has 63 vectors for 64 texts"),
    (repeats_the_request, 1, 'it says "no: '),
]


@pytest.mark.parametrize(
    ("spoil", "code", "message"), FAILURES, ids=[spoil.__name__ for spoil, *_ in FAILURES]
)
def test_a_build_ends_with_the_cause_and_its_exit_code(
    tmp_path: Path, settings: Setting, spoil: Callable[[StandIn], None], code: int, message: str
) -> None:
    with served() as service:
        spoil(service)
        done, result = build(many(tmp_path), tmp_path, settings(service, DIMENSIONS=4))
    assert (done.exit_code, result["error"]["kind"]) == (code, "user" if code == 1 else "world")
    assert message in done.stderr
    assert message in result["error"]["message"]


def test_wrong_shapes_are_counted_in_the_metrics(
    tmp_path: Path, small_docs: Path, settings: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    with served() as service:
        environment = settings(service)
        assert build(small_docs, tmp_path, environment)[0].exit_code == 0
        service.raw = b'{"data": [{"embedding": ["a"]}]}'
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        search = open_search_service(load_settings(index_dir=str(tmp_path / "index")), Credentials(), metrics)

        async def ask() -> None:
            for number in range(5):
                assert (await search.answer(f"viewport {number}", 1, None)).degraded == "lexical"
            await search.close()

        asyncio.run(ask())
    text = metrics.text()[1].decode()
    counted = dict(re.findall(r'embedding_errors_total\{reason="(\w+)"\} (\d+)', text))
    assert (counted["service"], counted["open"]) == ("3", "2")
